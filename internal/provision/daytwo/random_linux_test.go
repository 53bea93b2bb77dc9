//go:build linux

package daytwo

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/provisiontest"
	"wellcar.dev/internal/sys/rootfs"
)

// TestRandomConfigs provisions root directories from 200 random configs and
// finds in each what the plan says, and nothing else.
func TestRandomConfigs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to other users")
	}
	for seed := range uint64(200) {
		h := newRandomHost(t)
		text := provisiontest.Config(seed)
		if problem := h.provision(text); problem != "" {
			t.Fatalf("seed %d: %s\n%s", seed, problem, text)
		}
	}
}

// randomHost has the accounts' tools played, everything else is real.
type randomHost struct {
	*host
	uid int
}

func newRandomHost(t *testing.T) *randomHost {
	h := &randomHost{host: newHost(t), uid: 1000}
	root, err := rootfs.Open(h.dir, rootfs.Options{})
	h.must(err)
	t.Cleanup(func() { root.Close() })
	h.t.Files, h.t.Run = root, h.tool
	return h
}

// tool plays useradd and groupadd: they take the flags of the plan and write
// the account files.
func (h *randomHost) tool(_ context.Context, name string, args ...string) ([]byte, error) {
	h.uid++
	account, id, home, shell := args[len(args)-1], fmt.Sprint(h.uid), "/home/"+args[len(args)-1], "/bin/bash"
	for i, a := range args[:len(args)-1] {
		switch a {
		case "--uid", "--gid":
			id = args[i+1]
		case "--home-dir":
			home = args[i+1]
		case "--shell":
			shell = args[i+1]
		}
	}
	switch path.Base(name) {
	case "groupadd":
		return nil, h.append("/etc/group", account+":x:"+id+":\n")
	case "useradd":
		if err := os.MkdirAll(filepath.Join(h.dir, home), 0o755); err != nil {
			return nil, err
		}
		owner, _ := strconv.Atoi(id)
		if err := os.Chown(filepath.Join(h.dir, home), owner, owner); err != nil {
			return nil, err
		}
		return nil, h.append("/etc/passwd", strings.Join([]string{account, "x", id, id, "", home, shell}, ":")+"\n")
	}
	return nil, nil
}

func (h *randomHost) append(name, text string) error {
	f, err := os.OpenFile(filepath.Join(h.dir, name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// provision is a first boot; it returns in what the machine is not as planned.
func (h *randomHost) provision(text []byte) string {
	c, report := provision.Load("c.ign", text, provision.LoadOptions{})
	if err := report.Err(); err != nil {
		return err.Error()
	}
	facts, err := provision.Gather(h.Context(), c, h.t)
	h.must(err)
	plan, err := c.Plan(facts)
	if err != nil {
		return err.Error()
	}
	if err := provision.Apply(h.Context(), plan, h.t); err != nil {
		return err.Error()
	}
	again, err := provision.Gather(h.Context(), c, h.t)
	h.must(err)
	s := StateOf(plan, again.Users)
	s.Units = nil // nobody has started this machine
	found, err := Gather(h.Context(), h.t, s)
	h.must(err)
	var problems []string
	for _, d := range Drift(s, found) {
		problems = append(problems, d.String())
	}
	return strings.Join(append(problems, h.strangers(s)...), "\n")
}

// strangers are paths that no plan has.
func (h *randomHost) strangers(s State) []string {
	known := map[string]bool{"/": true}
	add := func(p string) {
		for ; !known[p]; p = path.Dir(p) {
			known[p] = true
		}
	}
	for p := range s.Items {
		add(p)
	}
	for name := range s.Users {
		add("/home/" + name)
	}
	for _, p := range []string{"/etc/passwd", "/etc/group", "/etc/.ignition-result.json"} {
		add(p)
	}
	var out []string
	err := filepath.WalkDir(h.dir, func(p string, _ fs.DirEntry, err error) error {
		if rel := "/" + strings.Trim(strings.TrimPrefix(p, h.dir), "/"); !known[rel] {
			out = append(out, "nobody planned "+rel)
		}
		return err
	})
	h.must(err)
	return slices.Compact(out)
}
