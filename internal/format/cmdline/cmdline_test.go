package cmdline

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	cases := map[string]Line{
		"":    {},
		" \n": {},
		"quiet root=LABEL=ROOT  console=tty0\tconsole=ttyS0,115200n8\n": {Args: []Arg{
			{"quiet", "", false}, {"root", "LABEL=ROOT", true}, {"console", "tty0", true}, {"console", "ttyS0,115200n8", true}}},
		`a="b c" "d=e f" g= "h"`:       {Args: []Arg{{"a", "b c", true}, {"d", "e f", true}, {"g", "", true}, {"h", "", false}}},
		`dyndbg="file x.c +p; y" z`:    {Args: []Arg{{"dyndbg", "file x.c +p; y", true}, {"z", "", false}}},
		`ro -- single "two words" a=b`: {Args: []Arg{{"ro", "", false}}, Init: []string{"single", "two words", "a=b"}},
		`x="unclosed y`:                {Args: []Arg{{"x", "unclosed y", true}}},
	}
	for s, want := range cases {
		if diff := cmp.Diff(want, Parse(s)); diff != "" {
			t.Errorf("%s:\n%s", s, diff)
		}
	}
}

func TestLookups(t *testing.T) {
	l := Parse("flatcar.oem.id=a coreos.oem.id=b console=tty0 console=ttyS0 quiet usb-storage.quirks=x on=YES off=0 on2=what a=1 a -- hidden")
	if v, ok := l.Get("console"); !ok || v != "ttyS0" {
		t.Error("the last one does not win:", v)
	}
	if diff := cmp.Diff([]string{"tty0", "ttyS0"}, l.All("console")); diff != "" {
		t.Error(diff)
	}
	if v, ok := l.Get("usb_storage.quirks"); !ok || v != "x" {
		t.Error("dash and underscore differ:", v)
	}
	if v, ok := l.First("none", "flatcar.oem.id", "coreos.oem.id"); !ok || v != "a" {
		t.Error("First:", v)
	}
	if _, ok := l.First("none", "hidden"); ok || l.Has("hidden") || !l.Has("quiet") {
		t.Error("wrong presence")
	}
	for name, want := range map[string]bool{"quiet": true, "on": true, "off": false, "a": true, "none": false, "on2": false} {
		if l.Bool(name, false) != want {
			t.Errorf("Bool(%s) is not %v", name, want)
		}
	}
	if !l.Bool("on2", true) || !l.Bool("none", true) || l.Bool("off", true) {
		t.Error("the fallback is wrong")
	}
}

func TestString(t *testing.T) {
	for _, s := range []string{"", "quiet a=b", `a="b c" d`, "ro -- single", `x="a b" -- "two words" y`} {
		if got := Parse(s).String(); got != s {
			t.Errorf("%s became %s", s, got)
		}
	}
	if got := Parse(`"d e=f"`).String(); got != `"d e=f"` {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`a="b c" "d=e f" -- g "h`)
	f.Fuzz(func(t *testing.T, s string) {
		l := Parse(s)
		if strings.Contains(s, `"`) {
			return // odd quotes cannot all be written again
		}
		if diff := cmp.Diff(l, Parse(l.String())); diff != "" {
			t.Error(diff)
		}
	})
}
