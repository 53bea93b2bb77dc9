package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/layout"
)

func file(p, text string, mode uint32) fstree.Node {
	return fstree.Node{Path: p, Kind: fstree.File, Mode: mode, Blob: fstree.BytesBlob([]byte(text)), Origin: "pkg"}
}

func link(p, target string) fstree.Node {
	return fstree.Node{Path: p, Kind: fstree.Symlink, Mode: 0o777, Target: target, Origin: "pkg"}
}

func TestTree(t *testing.T) {
	facts := func(text string, f unpacked.Facts) map[[32]byte]unpacked.Facts {
		return map[[32]byte]unpacked.Facts{fstree.BytesBlob([]byte(text)).SHA256: f}
	}
	unit := "usr/lib/systemd/system/a.service"
	for _, c := range []struct {
		name  string
		nodes []fstree.Node
		facts map[[32]byte]unpacked.Facts
		rules Rules
		want  []string
	}{
		{name: "missing library", nodes: []fstree.Node{file("usr/bin/a", "A", 0o755)}, facts: facts("A", unpacked.Facts{ELF: true, Needed: []string{"libx.so.1"}}),
			want: []string{"usr/bin/a (pkg): needs the library libx.so.1, which no folder has that the loader searches"}},
		{name: "library in the loader's folder", nodes: []fstree.Node{file("usr/bin/a", "A", 0o755), file("usr/lib/x86_64-linux-gnu/libx.so.1.2", "L", 0o644), link("usr/lib/x86_64-linux-gnu/libx.so.1", "libx.so.1.2")},
			facts: facts("A", unpacked.Facts{ELF: true, Needed: []string{"libx.so.1"}})},
		{name: "library beside the program", nodes: []fstree.Node{file("usr/lib/p/a", "A", 0o755), file("usr/lib/p/priv/libx.so.1", "L", 0o644)},
			facts: facts("A", unpacked.Facts{ELF: true, Needed: []string{"libx.so.1"}, Runpath: []string{"$ORIGIN/priv"}})},
		{name: "library of ld.so.conf.d", nodes: []fstree.Node{file("usr/bin/a", "A", 0o755), file("usr/lib/q/libx.so.1", "L", 0o644), file(layout.ShippedEtc+"/ld.so.conf.d/q.conf", "# c\n/usr/lib/q\n", 0o644)},
			facts: facts("A", unpacked.Facts{ELF: true, Needed: []string{"libx.so.1"}})},
		{name: "interpreters", nodes: []fstree.Node{file("usr/bin/a", "A", 0o755)}, facts: facts("A", unpacked.Facts{Interpreter: "/usr/bin/env perl"}),
			want: []string{"usr/bin/a (pkg): is run by perl, which does not exist"}},
		{name: "a script that is not executable needs none", nodes: []fstree.Node{file("usr/bin/a", "A", 0o644)}, facts: facts("A", unpacked.Facts{Interpreter: "/bin/none"})},
		{name: "unit", nodes: []fstree.Node{file(unit, "[Service]\nExecStart=/usr/bin/none x\nExecStartPre=-/usr/bin/none\nExecStop=@!/usr/bin/ok ok\nExecReload=ok\n", 0o644), file("usr/bin/ok", "", 0o755)},
			want: []string{unit + " (pkg): line 2: ExecStart= runs /usr/bin/none, which does not exist"}},
		{name: "unit with its own condition", nodes: []fstree.Node{file(unit, "[Unit]\nConditionFileIsExecutable=/usr/bin/none\n[Service]\nExecStart=/usr/bin/none\nExecStop=/opt/x\n", 0o644)}},
		{name: "links", nodes: []fstree.Node{link("usr/bin/a", "none"), link("usr/bin/b", "/run/x"), link("usr/bin/c", "/etc/d"), link("usr/bin/m", "/dev/null"), file(layout.ShippedEtc+"/d", "", 0o644), link("usr/bin/e", "/etc/none")},
			want: []string{"usr/bin/a (pkg): is a link to none, which does not exist", "usr/bin/e (pkg): is a link to /etc/none, which does not exist"}},
		{name: "modes", nodes: []fstree.Node{file("usr/bin/a", "", 0o4755), file("usr/bin/sudo", "", 0o4755), file("usr/bin/w", "", 0o666), {Path: "usr/t", Kind: fstree.Dir, Mode: 0o1777, Origin: "pkg"}},
			rules: Rules{Setuid: []string{"usr/bin/sudo"}},
			want: []string{"usr/bin/a (pkg): has mode 4755: setuid and setgid files must be in the recipe's setuid list",
				"usr/bin/w (pkg): has mode 0666: everybody could write to it"}},
		{name: "promises", nodes: []fstree.Node{file("usr/bin/perl5.40", "", 0o755), file("usr/share/man/man1/x.1", "", 0o644), file("usr/bin/apt-get", "", 0o755), file("usr/bin/manifest", "", 0o755)},
			want: []string{"usr/bin/apt-get (pkg): is a package manager, which the image does not have", "usr/bin/perl5.40 (pkg): is Perl, which the image does not have",
				"usr/share/man/man1/x.1 (pkg): is manual pages, which the image does not have"}},
		{name: "size", nodes: []fstree.Node{file("usr/bin/a", "12345", 0o755)}, rules: Rules{FileSize: 4},
			want: []string{"usr/bin/a (pkg): has 5 bytes, more than the 4 that a file may have"}},
		{name: "device", nodes: []fstree.Node{{Path: "usr/d", Kind: fstree.CharDevice, Mode: 0o600, Origin: "pkg"}}, want: []string{"usr/d (pkg): is a character device, which /usr cannot hold"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fstree.New()
			for _, n := range c.nodes {
				if err := tree.Put(n); err != nil {
					t.Fatal(err)
				}
			}
			faults, err := Tree(tree, c.facts, c.rules)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range faults {
				got = append(got, f.String())
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
