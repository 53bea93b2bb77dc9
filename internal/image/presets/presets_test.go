package presets

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/layout"
)

const sys = "usr/lib/systemd/system/"

func TestApply(t *testing.T) {
	etc := layout.ShippedEtc + "/systemd/system/"
	for _, c := range []struct {
		name  string
		files map[string]string // "-> x" is a link
		want  []string          // path below etc, arrow, target
	}{
		{"enabled by default", map[string]string{sys + "a.service": "[Install]\nWantedBy=multi-user.target\n"},
			[]string{"multi-user.target.wants/a.service /usr/lib/systemd/system/a.service"}},
		{"first rule wins", map[string]string{
			sys + "a.service":                         "[Install]\nWantedBy=x.target",
			"usr/lib/systemd/system-preset/90.preset": "# c\n\nenable a.service\n",
			"usr/lib/systemd/system-preset/10.preset": "disable *\n"}, nil},
		{"etc replaces a preset file of the same name", map[string]string{
			sys + "a.service":                                      "[Install]\nWantedBy=x.target",
			"usr/lib/systemd/system-preset/10.preset":              "disable *\n",
			layout.ShippedEtc + "/systemd/system-preset/10.preset": "enable a.*\n"},
			[]string{"x.target.wants/a.service /usr/lib/systemd/system/a.service"}},
		{"required, upheld, alias, also", map[string]string{
			sys + "a.service":                        "[Install]\nRequiredBy=x.target y.target\nUpheldBy=z.target\nAlias=dbus-a.service\nAlso=a.socket\n",
			sys + "a.socket":                         "[Install]\nWantedBy=sockets.target\n",
			"usr/lib/systemd/system-preset/1.preset": "enable a.service\ndisable *\n"},
			[]string{"dbus-a.service /usr/lib/systemd/system/a.service", "sockets.target.wants/a.socket /usr/lib/systemd/system/a.socket",
				"x.target.requires/a.service /usr/lib/systemd/system/a.service", "y.target.requires/a.service /usr/lib/systemd/system/a.service",
				"z.target.upholds/a.service /usr/lib/systemd/system/a.service"}},
		{"template with a default instance", map[string]string{sys + "getty@.service": "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n"},
			[]string{"getty.target.wants/getty@tty1.service /usr/lib/systemd/system/getty@.service"}},
		{"template without one", map[string]string{sys + "b@.service": "[Install]\nWantedBy=x.target\n"}, nil},
		{"template instances of the preset", map[string]string{sys + "b@.service": "[Install]\nWantedBy=x-%i.target\n",
			"usr/lib/systemd/system-preset/1.preset": "enable b@.service one two\n"},
			[]string{"x-one.target.wants/b@one.service /usr/lib/systemd/system/b@.service", "x-two.target.wants/b@two.service /usr/lib/systemd/system/b@.service"}},
		{"alias and mask are no units", map[string]string{sys + "a.service": "-> b.service", sys + "b.service": "-> /dev/null"}, nil},
		{"drop-in changes the section", map[string]string{
			sys + "a.service":                "[Install]\nWantedBy=x.target\n",
			etc + "a.service.d/10-more.conf": "[Install]\nWantedBy=\nWantedBy=y.target\n"},
			[]string{"y.target.wants/a.service /usr/lib/systemd/system/a.service"}},
		{"unit in etc wins", map[string]string{
			sys + "a.service": "[Install]\nWantedBy=x.target\n", etc + "a.service": "[Install]\nWantedBy=y.target\n"},
			[]string{"y.target.wants/a.service /etc/systemd/system/a.service"}},
		{"loop of also", map[string]string{sys + "a.service": "[Install]\nAlso=b.service", sys + "b.service": "[Install]\nAlso=a.service\nWantedBy=x.target"},
			[]string{"x.target.wants/b.service /usr/lib/systemd/system/b.service"}},
		{"no section", map[string]string{sys + "a.service": "[Service]\nExecStart=/bin/true\nWantedBy=x.target"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			links, err := Apply(makeTree(t, c.files), System)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range links {
				got = append(got, strings.TrimPrefix(l.Path, etc)+" "+l.Target)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func makeTree(t *testing.T, files map[string]string) *fstree.Tree {
	tree := fstree.New()
	for p, text := range files {
		n := fstree.Node{Path: p, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob([]byte(text))}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			n = fstree.Node{Path: p, Kind: fstree.Symlink, Target: target}
		}
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func TestBadRuleNamesItsLine(t *testing.T) {
	_, err := Apply(makeTree(t, map[string]string{"usr/lib/systemd/system-preset/1.preset": "enable a\nenabled b\n"}), System)
	if err == nil || !strings.Contains(err.Error(), "1.preset:2:") {
		t.Error(err)
	}
}

func TestParseUnit(t *testing.T) {
	got := ParseUnit("[Service]\n# no\nExecStart=/a \\\n ; between\n  b\nbroken\nX = y \n")
	want := []Setting{{"Service", "ExecStart", "/a  b", 3}, {"Service", "X", "y", 7}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
