// Package view resolves paths as a running machine sees them against the
// tree of an image, which holds only /usr: /bin, /sbin, /lib and /lib64 are
// links into /usr, /etc is the shipped defaults, and everything else comes
// into being at run time.
package view

import (
	"path"
	"slices"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/layout"
)

// Outcome says what a path leads to.
type Outcome uint8

// The outcomes of a look-up.
const (
	Missing Outcome = iota // nothing is there, and nothing will be
	Found
	Runtime // it leads to a place that only the running machine fills
)

// View looks into one tree; it sees changes of the tree.
type View struct{ Tree *fstree.Tree }

// runtime are the folders at the root that the image does not hold.
var runtime = map[string]bool{"boot": true, "dev": true, "efi": true, "home": true, "media": true, "mnt": true, "oem": true,
	"opt": true, "proc": true, "root": true, "run": true, "srv": true, "sys": true, "tmp": true, "var": true}

// made are files of /etc that exist only on a machine, or may.
var made = map[string]bool{"etc/adjtime": true, "etc/fstab": true, "etc/hostname": true, "etc/ld.so.preload": true, "etc/localtime": true, "etc/machine-id": true,
	"etc/machine-info": true, "etc/mtab": true, "etc/resolv.conf": true, "etc/selinux": true}

// InTree turns a path of the running machine, with or without the leading
// slash, into the path of the same thing in the tree.
func InTree(name string) string {
	name = fstree.Clean(name)
	first, rest, below := strings.Cut(name, "/")
	switch {
	case slices.Contains(layout.UsrLinks, first):
		return "usr/" + name
	case first == "etc" && !below:
		return layout.ShippedEtc
	case first == "etc":
		return layout.ShippedEtc + "/" + rest
	}
	return name
}

// OnMachine turns a path of the tree into one of the running machine,
// without the leading slash.
func OnMachine(name string) string {
	if name == layout.ShippedEtc {
		return "etc"
	}
	if rest, ok := strings.CutPrefix(name, layout.ShippedEtc+"/"); ok {
		return "etc/" + rest
	}
	return name
}

// Resolve follows a path of the running machine through all links. Relative
// paths start at the root. The node is nil unless the outcome is Found.
func (v View) Resolve(name string) (*fstree.Node, Outcome) {
	return v.walk(strings.Split(fstree.Clean(name), "/"), 40)
}

// ResolveLink follows the symlink n of the tree.
func (v View) ResolveLink(n *fstree.Node) (*fstree.Node, Outcome) {
	if path.IsAbs(n.Target) {
		return v.Resolve(n.Target)
	}
	return v.Resolve(path.Join("/", path.Dir(OnMachine(n.Path)), n.Target))
}

func (v View) walk(parts []string, budget int) (*fstree.Node, Outcome) {
	at := ""
	for i := 0; i < len(parts); i++ {
		if parts[i] == ".." { // only in link targets; Clean removed the rest
			at = strings.TrimPrefix(path.Dir("/"+at), "/")
			continue
		}
		if parts[i] == "." {
			continue
		}
		if at = strings.TrimPrefix(at+"/"+parts[i], "/"); slices.Contains(layout.UsrLinks, at) {
			at = "usr/" + at
		}
		if runtime[at] || made[at] {
			return nil, Runtime
		}
		n := v.Tree.Get(InTree(at))
		if n == nil {
			return nil, Missing
		}
		if n.Kind != fstree.Symlink {
			continue
		}
		if budget--; budget < 0 {
			return nil, Missing
		}
		rest := append(strings.Split(strings.Trim(n.Target, "/"), "/"), parts[i+1:]...)
		if path.IsAbs(n.Target) {
			at = ""
		} else {
			at = strings.TrimPrefix(path.Dir("/"+at), "/")
		}
		parts, i = rest, -1
	}
	if at == "" {
		return v.Tree.Get("."), Found
	}
	return v.Tree.Get(InTree(at)), Found
}
