package grubcfg

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	cases := map[string]string{
		"":          "",
		"# words\n": "",
		`set linux_append="$linux_append mitigations=auto,nosmt"`:                      "mitigations=auto,nosmt",
		"set linux_append=\"a  b\"\nset linux_append=\"$linux_append c\"\n":            "a b c",
		"set linux_append='a $b' # why\n":                                              "a $b",
		"set linux_append=a b\n":                                                       "a",
		"  set linux_append=${linux_append}a; set linux_append=$linux_append\"  b\"\n": "a b",
		"set x=1\nset linux_append=\"y=$x z=\\\"q r\\\"\"":                             `y=1 z="q r"`,
		"if [ a = b ]; then\n set linux_append=never\nfi\nset linux_append=ever\n":     "ever",
		"if [ a = b ]; then set linux_append=never; fi\nset linux_append=ever":         "ever",
		"function f {\nset linux_append=never\n}\nset linux_append=ever":               "ever",
		"# if\nset linux_append=ever":                                                  "ever",
		`set linux_append="not ended`:                                                  "not ended",
		"settle linux_append=a\nset =b\nset linux_append":                              "",
	}
	for text, want := range cases {
		if got := Parse(text).Append; got != want {
			t.Errorf("%s\ngives %q, want %q", text, got, want)
		}
	}
	s := Parse("set oem_id=\"ec2\"\nset linux_console=\"console=ttyS1 console=tty0\"\nset linux_append=quiet\n")
	if got := s.Line(); got != "flatcar.oem.id=ec2 console=ttyS1 console=tty0 quiet" {
		t.Errorf("all settings give %q", got)
	}
}

func TestSetAppend(t *testing.T) {
	const set = `set linux_append="$linux_append `
	cases := []struct{ text, value, want string }{
		{"", "a b", set + "a b\"\n"},
		{"# x", "a", "# x\n" + set + "a\"\n"},
		{"set linux_append=a\n# x\n", "b", set + "b\"\n# x\n"},
		{"set linux_append=a\n# x\nset linux_append=b\nset y=1\n", "c", "# x\n" + set + "c\"\nset y=1\n"},
		{"set linux_append=a\n# x\nset linux_append=b", "", "# x\n"},
		{"set y=1; set linux_append=a; set z=1\n", "b", "set y=1;\n" + set + "b\"\n set z=1\n"},
		{"if true; then\nset linux_append=a\nfi\n", "b", "if true; then\nset linux_append=a\nfi\n" + set + "b\"\n"},
		{"", `x="$y z"`, set + `x=\"\$y z\"` + "\"\n"},
	}
	for _, c := range cases {
		got := SetAppend(c.text, c.value)
		if got != c.want {
			t.Errorf("%q with %q is\n%q, want\n%q", c.text, c.value, got, c.want)
		}
		if back := Parse(got).Append; back != c.value {
			t.Errorf("%q: %q comes back as %q", c.text, c.value, back)
		}
	}
}

func FuzzSetAppend(f *testing.F) {
	f.Add("set linux_append=\"$linux_append a\"\nif x; then\nset linux_append=b\nfi\n", "c d")
	f.Add("set y=1; set linux_append='a'; # b\n", `x="$y z"`)
	f.Fuzz(func(t *testing.T, text, value string) {
		Parse(text)
		value = tidy(value)
		once := SetAppend(text, value)
		if twice := SetAppend(once, value); Parse(once).Append == value && Parse(twice).Append != value {
			t.Errorf("%q with %q: %q, then %q", text, value, once, twice)
		}
		if len(once) > 2*len(text)+4*len(value)+64 || strings.Count(once, "\x00") > strings.Count(text+value, "\x00") {
			t.Errorf("%q grew to %q", text, once)
		}
	})
}
