package view

import (
	"testing"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/layout"
)

func TestResolve(t *testing.T) {
	tree := fstree.New()
	for _, n := range []fstree.Node{
		{Path: "usr/bin/bash", Kind: fstree.File},
		{Path: "usr/bin/sh", Kind: fstree.Symlink, Target: "bash"},
		{Path: "usr/lib/os-release", Kind: fstree.File},
		{Path: layout.ShippedEtc + "/os-release", Kind: fstree.Symlink, Target: "../usr/lib/os-release"},
		{Path: layout.ShippedEtc + "/alternatives/pager", Kind: fstree.Symlink, Target: "/bin/sh"},
		{Path: "usr/bin/pager", Kind: fstree.Symlink, Target: "/etc/alternatives/pager"},
		{Path: "usr/lib/a", Kind: fstree.Symlink, Target: "b"},
		{Path: "usr/lib/b", Kind: fstree.Symlink, Target: "a"},
		{Path: "usr/share/oem", Kind: fstree.Symlink, Target: "/oem"},
		{Path: "usr/lib/deep", Kind: fstree.Symlink, Target: "../../lib/./../lib"},
		{Path: "usr/lib/mtab", Kind: fstree.Symlink, Target: "../../proc/self/mounts"},
	} {
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	v := View{tree}
	for _, c := range []struct {
		name string
		path string
		want Outcome
	}{
		{"/bin/sh", "usr/bin/bash", Found},
		{"/usr/bin/pager", "usr/bin/bash", Found},
		{"/etc/os-release", "usr/lib/os-release", Found},
		{"/usr/lib/a", "", Missing},
		{"/usr/bin/none", "", Missing},
		{"/usr/share/oem/x", "", Runtime},
		{"/var/lib/x", "", Runtime},
		{"/etc/resolv.conf", "", Runtime},
		{"/nowhere", "", Missing},
		{"/lib/deep/os-release", "usr/lib/os-release", Found},
		{"/usr/lib/mtab", "", Runtime},
		{"/", ".", Found},
	} {
		n, got := v.Resolve(c.name)
		if got != c.want || n != nil && n.Path != c.path {
			t.Errorf("%s: %v %v, want %q %v", c.name, n, got, c.path, c.want)
		}
	}
	if n, _ := v.ResolveLink(tree.Get(layout.ShippedEtc + "/os-release")); n == nil || n.Path != "usr/lib/os-release" {
		t.Errorf("link of /etc: %v", n)
	}
}
