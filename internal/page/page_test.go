package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sample = "---\n" +
	"rows: [S6, S7]\n" +
	"machine: {disks: [1G, 512M], memory: 3072, tpm: true, nics: 2, share: base}\n" +
	"needs: [registry]\n" +
	"timeout: 90s\n" +
	"---\n" +
	"# Timers\n" +
	"\n" +
	"```butane\n" + // 9
	"variant: flatcar\n" +
	"```\n" +
	"- in a list:\n" +
	"  ```console wait=60s\n" + // 13
	"  $ systemctl is-active x.timer\n" +
	"  active\n" +
	"\n" +
	"  # cat <<E \\\n" +
	"  > | wc\n" +
	"  > two\n" +
	"  > E\n" +
	"  ...\n" +
	"\n" +
	"  ```\n" +
	"~~~~host status=3 probe\n" +
	"$ curl localhost:$HTTP_PORT\n" +
	"~~~\n" +
	"~~~~\n" +
	"```yaml\n$ no command\n```\n" +
	"```console norun\n$ shown only\n```\n"

func TestParse(t *testing.T) {
	got, err := Parse("docs/timers.md", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	want := Page{
		File: "docs/timers.md", Title: "Timers",
		Meta: Meta{
			Rows: []string{"S6", "S7"}, Needs: []string{"registry"}, Timeout: Duration(90 * time.Second),
			Machine: Machine{Disks: []Size{1 << 30, 512 << 20}, Memory: 3072, TPM: true, NICs: 2, Share: "base"},
		},
		Blocks: []Block{
			{Kind: Butane, Line: 9, Text: "variant: flatcar\n"},
			{Kind: Console, Line: 13, Commands: []Command{
				{Line: 14, Text: "systemctl is-active x.timer", Want: []string{"active"}, Wait: time.Minute, Status: AnyStatus},
				{Line: 17, Root: true, Text: "cat <<E \\\n| wc\ntwo\nE", Want: []string{"..."}, Wait: time.Minute, Status: AnyStatus},
			}},
			{Kind: Host, Name: "probe", Line: 24, Commands: []Command{
				{Line: 25, Text: "curl localhost:$HTTP_PORT", Want: []string{"~~~"}, Status: 3},
			}},
		},
	}
	for i := range got.Blocks {
		if got.Blocks[i].Kind != Butane {
			got.Blocks[i].Text = ""
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"---\nrows: [A]\n":                               "x.md: reading the front matter: it has no end",
		"---\nrow: [A]\n---\n":                           "line 2: field row not found",
		"---\nmachine: {disks: [1X]}\n---\n":             `line 2: "1X" is no size`,
		"---\nmachine: {nics: 9}\n---\n":                 "nics at most 8",
		"---\nmachine: {segment: 1}\n---\n":              "cannot unmarshal !!int `1` into bool",
		"---\nmachine: {segment: true, share: a}\n---\n": "a machine with a segment is not shared",
		"---\ntimeout: soon\n---\n":                      `"soon" is no duration`,
		"a\n\n```console\n$ x\n":                         "x.md:3: the block has no end",
		"```console wait=never\n$ x\n```\n":              "x.md:1: time: invalid duration",
		"```console wait=2h\n$ x\n```\n":                 "x.md:1: wait=2h: it must be above 0 and at most 1h",
		"```console status=256\n$ x\n```\n":              "x.md:1: status=256",
		"```console reboots\n$ x\ny\n```\n":              "x.md:2: nothing compares the output of a command that reboots",
		"```butane wait=1s\n```\n":                       `x.md:1: a butane block has no attribute "wait"`,
		"```console colour=red\n$ x\n```\n":              `no attribute "colour"`,
		"```console\n\noutput without command\n```":      "x.md:3: output before the first command",
	} {
		if _, err := Parse("x.md", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestParsePlain(t *testing.T) {
	for _, text := range []string{"", "---\n---\n", "text `code` ```x``` \n", "    ```\r\n    a\r\n    ```\r\n", "---\n", "```\n```"} {
		p, err := Parse("x.md", []byte(text))
		if text == "---\n" {
			continue // a front matter without end, or a rule; either way no panic
		}
		if err != nil || p.Runs() {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb", "a\nb\n", true},
		{"a \nb", "a\nb\t\n\n\n", true},
		{"a\nb", "a\r\nb\r\n", true},
		{"a", "a\nb", false},
		{"a\nb", "a", false},
		{"", "", true},
		{"", "a", false},
		{"...", "", true},
		{"...", "a\nb", true},
		{"a\n...", "a", true},
		{"a\n...\nd", "a\nb\nc\nd", true},
		{"a\n...\nd", "a\nd\nc\nd", true},
		{"a\n...\nd", "a\nd\nc", false},
		{"...\nb\n...\nb\n...", "x\nb\ny", false},
		{"...\nb\n...\nb\n...", "b\nb", true},
		{"  ...", "x\ny", true},
		{"v...", "v257", true},
		{"...7", "v257", true},
		{"v...7", "v257", true},
		{"v...7", "v7", true},
		{"ab...bc", "abc", false},
		{"a...b...c", "a1b2c", true},
		{"a...b...c", "a1c2b", false},
		{"x ... y", "x 1 y", true},
		{"loaded (...; enabled)", "loaded (/usr/lib/x; enabled)", true},
	} {
		if got := Match(strings.Split(c.want, "\n"), c.got); got != c.ok {
			t.Errorf("Match(%q, %q) = %t", c.want, c.got, got)
		}
	}
}

func TestDiff(t *testing.T) {
	got := Diff([]string{"a", "b...", "...", "e", "f"}, "a\nb2\nc\nd\ne\ng\n")
	want := "  a\n  b2\n  ...\n  e\n+ g\n- f\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if long := Diff(nil, strings.Repeat("x\n", 5000)); strings.Count(long, "\n") != maxDiff+1 {
		t.Errorf("%d lines", strings.Count(long, "\n"))
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]Size{"1": 1, "2K": 2048, "1G": 1 << 30, "3T": 3 << 40} {
		if got, err := ParseSize(s); got != want || err != nil {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "G", "0", "-1G", "1GG", "1.5G", "9999999999T", "1g"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%q is read as %d", s, got)
		}
	}
}

// Whatever the output, wildcards that stand for parts of it match it, and
// what is matched shows no difference.
func FuzzMatch(f *testing.F) {
	f.Add("a\n...\nb", "a\nx\nb")
	f.Add("v...7", "v257")
	f.Fuzz(func(t *testing.T, want, got string) {
		if len(want)+len(got) > 400 {
			return
		}
		lines := strings.Split(want, "\n")
		ok := Match(lines, got)
		diff := Diff(lines, got)
		for _, l := range strings.Split(diff, "\n") {
			if ok && (strings.HasPrefix(l, "+ ") || strings.HasPrefix(l, "- ")) {
				t.Errorf("%q matches %q but differs:\n%s", want, got, diff)
			}
		}
		if !Match([]string{"..."}, got) || !Match(strings.Split(got, "\n"), got) && !strings.Contains(got, "...") {
			t.Errorf("%q does not match itself", got)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("```console\n# a\\\n```")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("x.md", []byte(text))
		if err != nil {
			return
		}
		lines := strings.Split(text, "\n")
		for _, b := range p.Blocks {
			for _, c := range b.Commands {
				if c.Line < 1 || c.Line > len(lines) {
					t.Errorf("command %q at line %d of %d", c.Text, c.Line, len(lines))
				}
				first, _, _ := strings.Cut(c.Text, "\n")
				if !strings.Contains(lines[c.Line-1], strings.TrimSuffix(first, "\r")) {
					t.Errorf("line %d is %q, not %q", c.Line, lines[c.Line-1], first)
				}
			}
		}
	})
}

func ExampleMatch() {
	fmt.Println(Match([]string{"Linux ... 6..."}, "Linux node 6.12.1\n"))
	// Output: true
}
