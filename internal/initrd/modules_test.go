//go:build linux

package initrd

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/modindex"
)

const exampleList = `# modules of the initrd
virtio_blk:
dm_mod:
dm-bufio: dm-mod
dm_verity: dm_mod dm_bufio
nvme_core:
nvme: nvme_core
[always]
dm_verity
[alias]
virtio:d00000002v* virtio_blk
pci:v*d*sv*sd*bc01sc08i02* nvme
`

func TestModuleListFor(t *testing.T) {
	l, err := ParseModuleList(exampleList)
	if err != nil {
		t.Fatal(err)
	}
	for alias, want := range map[string][]string{
		"virtio:d00000002v00001AF4":                             {"virtio_blk"},
		"virtio:d00000001v00001AF4":                             nil,
		"pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02": {"nvme"},
		"": nil, "usb:x": nil,
	} {
		if diff := cmp.Diff(want, l.For(alias, nil)); diff != "" {
			t.Errorf("%s: %s", alias, diff)
		}
	}
	if got := l.For("virtio:d00000002v1", map[string]bool{"virtio_blk": true}); got != nil {
		t.Errorf("blacklisted, yet %v", got)
	}
	if diff := cmp.Diff([]string{"pci", "virtio"}, l.buses()); diff != "" {
		t.Error(diff)
	}
}

func TestParseModuleListRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"a b":                "no colon",
		"a: b":               "not there",
		"a: b\nb: a":         "each other",
		"a: a":               "each other",
		"[always]\nx":        "not there",
		"[alias]\none":       "not a pattern",
		"[else]\nx":          "unknown section",
		"a:\n[alias]\nx y z": "line 3",
	} {
		if _, err := ParseModuleList(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"*", "", true}, {"a*c", "abbc", true}, {"a*c", "abbd", false}, {"a?c", "ac", false},
		{"usb:v1d[0-3]*", "usb:v1d2x", true}, {"d[!0-3]", "d2", false}, {"d[!0-3]", "d9", true}, {"d[ab]", "db", true},
		{"a[", "a[", true}, {"**x", "yx", true}, {"dmi:*pnA/B:*", "dmi:bvnX:pnA/B:pv", true}, {"ab", "a", false},
	} {
		if got := modindex.Match(c.pattern, c.s); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

func TestLoaderLoadsOnceAndInOrder(t *testing.T) {
	list, err := ParseModuleList(exampleList)
	if err != nil {
		t.Fatal(err)
	}
	var loaded, failed []string
	l := &loader{list: list, params: map[string]string{"dm_mod": "x=1"}, begun: map[string]bool{},
		load: func(name, params string) error {
			loaded = append(loaded, strings.TrimSpace(name+" "+params))
			if name == "nvme_core" {
				return errors.New("no")
			}
			return nil
		},
		failed: func(name string, err error) { failed = append(failed, name) }}
	l.all([]string{"dm_verity", "nvme", "dm_bufio", "dm_verity", "built_in"})
	l.all([]string{"dm_mod", "nvme"})
	place := func(s string) int { return slices.Index(loaded, s) }
	if len(loaded) != 5 || place("dm_mod x=1") > place("dm_bufio") || place("dm_bufio") > place("dm_verity") || place("nvme_core") > place("nvme") {
		t.Errorf("loaded %q", loaded)
	}
	if diff := cmp.Diff([]string{"nvme_core"}, failed); diff != "" {
		t.Error(diff)
	}
}
