// Package finish holds the steps that take the place of maintainer scripts:
// each looks at the tree and adds the files that a package's scripts would
// have made on a machine. Steps are pure: equal trees give equal files.
package finish

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path"
	"sort"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/presets"
	"wellcar.dev/internal/image/users"
	"wellcar.dev/internal/layout"
)

// origin marks what no package brought, in messages and lists.
const origin = "build"

func putFile(t *fstree.Tree, name string, mode uint32, data []byte) error {
	return t.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: mode, Blob: fstree.BytesBlob(data), Origin: origin})
}

func putLink(t *fstree.Tree, name, target string) error {
	return t.Put(fstree.Node{Path: name, Kind: fstree.Symlink, Mode: 0o777, Target: target, Origin: origin})
}

// PutFiles adds files by path, all 0644 and owned by root.
func PutFiles(t *fstree.Tree, files map[string][]byte) error {
	for _, name := range sortedNames(files) {
		if err := putFile(t, name, 0o644, files[name]); err != nil {
			return err
		}
	}
	return nil
}

// Accounts writes the account files, once as defaults of /etc and once as
// the copy that a damaged /etc is mended from.
func Accounts(t *fstree.Tree, list users.List) error {
	if len(list.Users) == 0 {
		return nil
	}
	files := users.Render(list)
	var shadow uint32
	for _, g := range list.Groups {
		if g.Name == "shadow" {
			shadow = g.GID
		}
	}
	for _, dir := range []string{layout.ShippedEtc, "usr/share/baselayout"} {
		for _, f := range []struct {
			name string
			data []byte
			mode uint32
			gid  uint32
		}{{"passwd", files.Passwd, 0o644, 0}, {"group", files.Group, 0o644, 0}, {"shadow", files.Shadow, 0o640, shadow}, {"gshadow", files.Gshadow, 0o640, shadow}} {
			n := fstree.Node{Path: dir + "/" + f.name, Kind: fstree.File, Mode: f.mode, GID: f.gid, Blob: fstree.BytesBlob(f.data), Origin: "users.yaml"}
			if err := t.Put(n); err != nil {
				return err
			}
		}
	}
	return putFile(t, "usr/lib/sysusers.d/00-wellcar.conf", 0o644, files.Sysusers)
}

// Presets enables units for both managers.
func Presets(t *fstree.Tree) error {
	for _, scope := range []presets.Scope{presets.System, presets.User} {
		links, err := presets.Apply(t, scope)
		if err != nil {
			return err
		}
		for _, l := range links {
			if old := t.Get(l.Path); old != nil {
				continue // the overlay's own link or mask counts more
			}
			if err := putLink(t, l.Path, l.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

// State turns what packages bring below /var into tmpfiles.d lines. Files
// and devices cannot be: their paths are returned. Directories that hold
// only what was left out are made too: a program may insist on them.
func State(t *fstree.Tree, nodes []fstree.Node) (dropped []string, err error) {
	var lines strings.Builder
	seen := map[string]bool{}
	for _, n := range nodes {
		if seen[n.Path] || made(n.Path) {
			continue
		}
		seen[n.Path] = true
		switch n.Kind {
		case fstree.Dir:
			fmt.Fprintf(&lines, "d /%s %04o %d %d -\n", escape(n.Path), n.Mode, n.UID, n.GID)
		case fstree.Symlink:
			fmt.Fprintf(&lines, "L /%s - - - - %s\n", escape(n.Path), escape(n.Target))
		default:
			dropped = append(dropped, fmt.Sprintf("%s (%s)", n.Path, n.Origin))
		}
	}
	if lines.Len() == 0 {
		return dropped, nil
	}
	text := "# What packages bring below /var. tmpfiles.d(5)\n" + lines.String()
	return dropped, putFile(t, "usr/lib/tmpfiles.d/wellcar-state.conf", 0o644, []byte(text))
}

// made lists what systemd's own tmpfiles make, and the package database,
// which the image does not have.
func made(name string) bool {
	switch name {
	case "var", "var/cache", "var/lib", "var/lib/systemd", "var/log", "var/spool", "var/tmp", "var/lock", "var/run", "var/local", "var/mail", "var/opt", "var/backups":
		return true
	}
	for _, dir := range []string{"var/lib/dpkg", "var/lib/apt", "var/cache/apt", "var/log/apt", "var/cache/debconf"} {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, " ", `\x20`, "%", "%%").Replace(s)
}

// Digest identifies the nodes below a set of folders, by path and content,
// to know whether what was once made of them is still right.
func Digest(t *fstree.Tree, purpose string, wanted func(n *fstree.Node) bool) [32]byte {
	h := sha256.New()
	fmt.Fprintln(h, purpose)
	for _, n := range t.Nodes() {
		if wanted(n) {
			fmt.Fprintf(h, "%q %d %q %x\n", n.Path, n.Kind, n.Target, n.Blob.SHA256)
		}
	}
	return [32]byte(h.Sum(nil))
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// filesBelow returns the regular files of the tree below dir with a suffix, sorted.
func filesBelow(t *fstree.Tree, dir, suffix string) []*fstree.Node {
	var out []*fstree.Node
	for _, n := range t.Nodes() {
		if n.Kind == fstree.File && strings.HasPrefix(n.Path, dir+"/") && path.Ext(n.Path) == suffix {
			out = append(out, n)
		}
	}
	return out
}

func joinLines(lines ...string) []byte {
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
