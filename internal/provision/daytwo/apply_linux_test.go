//go:build linux

package daytwo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/rootfs"
)

// host is a machine in a directory. systemctl is played.
type host struct {
	*testing.T
	dir     string
	t       provision.Target
	enabled map[string]string
	active  map[string]bool
	ran     []string
}

func newHost(t *testing.T) *host {
	h := &host{T: t, dir: t.TempDir(), enabled: map[string]string{}, active: map[string]bool{}}
	root, err := rootfs.Open(h.dir, rootfs.Options{Chown: func(string, int, int) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	h.t = provision.Target{Files: root, Run: h.run, NoSync: true}
	h.put("/etc/passwd", "root:x:0:0::/root:/bin/bash\ncore:x:500:500::/home/core:/bin/bash\n")
	h.put("/etc/group", "root:x:0:\ncore:x:500:\n")
	return h
}

func (h *host) run(_ context.Context, name string, args ...string) ([]byte, error) {
	unit := args[len(args)-1]
	switch args[0] {
	case "is-enabled":
		return []byte(h.enabled[unit] + "\n"), nil
	case "is-active":
		return []byte(map[bool]string{true: "active", false: "inactive"}[h.active[unit]] + "\n"), nil
	case "enable":
		h.enabled[unit] = "enabled"
	case "disable":
		h.enabled[unit] = "disabled"
	case "start", "restart":
		h.active[unit] = true
	case "stop":
		h.active[unit] = false
	}
	h.ran = append(h.ran, filepath.Base(name)+" "+strings.Join(args, " "))
	return nil, nil
}

func (h *host) put(name, text string) {
	h.Helper()
	name = filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		h.Fatal(err)
	}
}

// tree is all that is below the root, but for the journal.
func (h *host) tree() string {
	h.Helper()
	var out []string
	err := filepath.WalkDir(h.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, h.dir)
		if rel == "/var/lib/wellcar/undo" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v", rel, info.Mode())
		switch {
		case d.Type() == 0:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %q", data)
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(p)
			line += " -> " + target
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// plan compares with what the machine is.
func (h *host) plan(old, new string) Plan {
	h.Helper()
	o, n := state(h.T, old), state(h.T, new)
	f, err := Gather(h.Context(), h.t, o, n)
	if err != nil {
		h.Fatal(err)
	}
	return Diff(o, n, f)
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

const (
	first  = `,"storage":{"files":[` + fileA + `,` + fileB + `,{"path":"/opt/tool/bin","mode":493,"contents":{"source":"data:,x"}}],"links":[{"path":"/etc/l","target":"a"}]}`
	second = `,"storage":{"files":[` + fileA2 + `,{"path":"/srv/deep/er/c","contents":{"source":"data:,c"}}],"directories":[{"path":"/opt/tool","mode":448}],"links":[{"path":"/etc/l","target":"b"}]},"systemd":{"units":[` + unitU + `]}`
)

// made first brings a host to the first config.
func (h *host) first() {
	h.Helper()
	h.must(Apply(h.Context(), h.t, h.plan("", first), Config{JSON: []byte("first"), Places: []byte("{}")}, false))
}

func TestApplyAndUndo(t *testing.T) {
	h := newHost(t)
	h.first()
	before := h.tree()
	if !h.plan(first, first).Empty() {
		t.Error("the first config is not what the machine has")
	}
	h.must(Apply(h.Context(), h.t, h.plan(first, second), Config{JSON: []byte("second"), Places: []byte("{}")}, true))
	if p := h.plan(second, second); !p.Empty() || len(p.Kept) > 0 && os.Getuid() == 0 { // others cannot make what belongs to root
		t.Errorf("the machine differs: %v %v", p.Changes, p.Kept)
	}
	after := h.tree()
	for _, want := range []string{`/etc/a -rw-r--r-- "aa"`, "/opt/tool drwx------", `/srv/deep/er/c`, "/etc/l Lrwxrwxrwx -> b", `applied.ign -rw------- "second"`} {
		if !strings.Contains(after, want) {
			t.Errorf("no %s in\n%s", want, after)
		}
	}
	if strings.Contains(after, "/etc/b") || strings.Contains(after, "/opt/tool/bin") || h.enabled["u.service"] != "enabled" || !h.active["u.service"] {
		t.Errorf("%s\n%v %v", after, h.enabled, h.active)
	}
	if err := Apply(h.Context(), h.t, h.plan(second, first), Config{}, false); !errors.Is(err, ErrTrying) {
		t.Error(err)
	}
	j, err := LoadJournal(h.t.Files)
	h.must(err)
	h.must(Undo(h.Context(), h.t, j, true))
	if diff := cmp.Diff(before, h.tree()); diff != "" {
		t.Error(diff)
	}
	if h.enabled["u.service"] == "enabled" || h.active["u.service"] {
		t.Error(h.enabled, h.active)
	}
	if err := Confirm(h.t.Files); err == nil {
		t.Error("an undone change was confirmed")
	}
}

func TestConfirm(t *testing.T) {
	h := newHost(t)
	h.first()
	h.must(Apply(h.Context(), h.t, h.plan(first, second), Config{JSON: []byte("2")}, true))
	h.must(Confirm(h.t.Files))
	j, err := LoadJournal(h.t.Files)
	if err != nil || j.Phase != Applied {
		t.Error(j.Phase, err)
	}
	h.must(Apply(h.Context(), h.t, h.plan(second, first), Config{JSON: []byte("3")}, true))
}

// torn fails from the n-th change of a file on, as a machine does that loses
// its power or its disk space.
type torn struct {
	provision.Files
	left *int
}

var errTorn = errors.New("torn")

func (f torn) step() error {
	if *f.left--; *f.left < 0 {
		return errTorn
	}
	return nil
}

func (f torn) Mkdir(name string, perm uint32) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.Mkdir(name, perm)
}

func (f torn) WriteFile(name string, data []byte, m rootfs.Meta) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.WriteFile(name, data, m)
}

func (f torn) WriteFrom(name string, m rootfs.Meta, write func(w io.Writer) error) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.WriteFrom(name, m, write)
}

func (f torn) Symlink(target, name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.Symlink(target, name)
}

func (f torn) RemoveAll(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.RemoveAll(name)
}

// TestCrash stops a change after each of its steps, and the undoing as well,
// and looks whether the next boot finds the way back.
func TestCrash(t *testing.T) {
	for steps := 0; ; steps++ {
		h := newHost(t)
		h.first()
		before, p, left := h.tree(), h.plan(first, second), steps
		broken := h.t
		broken.Files = torn{h.t.Files, &left}
		if err := Apply(h.Context(), broken, p, Config{JSON: []byte("2")}, true); err == nil {
			if steps < 10 {
				t.Errorf("the change has %d steps", steps)
			}
			return
		}
		for again := range 3 { // the undoing is cut as well
			left = again
			if j, err := LoadJournal(h.t.Files); err == nil && j.Phase != Applied {
				_ = Undo(h.Context(), broken, j, false)
			}
		}
		if j, err := LoadJournal(h.t.Files); err == nil && j.Phase != Applied {
			h.must(Undo(h.Context(), h.t, j, false))
		}
		if diff := cmp.Diff(before, h.tree()); diff != "" {
			t.Fatalf("after %d steps:\n%s", steps, diff)
		}
	}
}

func TestFailureUndoes(t *testing.T) {
	h := newHost(t)
	h.first()
	before := h.tree()
	bad := `,"storage":{"files":[` + fileA2 + `,{"path":"/etc/z","user":{"name":"messagebus"},"contents":{"source":"data:,c"}}]}`
	err := Apply(h.Context(), h.t, h.plan(first, bad), Config{}, false)
	const want = "c.ign:1:104: cannot add file /etc/z: there is no user messagebus; everything is as it was"
	if err == nil || err.Error() != want {
		t.Error(err)
	}
	if diff := cmp.Diff(before, h.tree()); diff != "" {
		t.Error(diff)
	}
}

func TestJournalIsJudged(t *testing.T) {
	h := newHost(t)
	for _, text := range []string{"{", `{"saved":[{"path":"/"}]}`, `{"saved":[{"path":"etc"}]}`, `{"saved":[{"path":"/a","copy":"../x"}]}`} {
		h.put(journalFile, text)
		if j, err := LoadJournal(h.t.Files); err == nil {
			t.Errorf("%s was taken: %+v", text, j)
		}
	}
}
