package report

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const config = `variant: flatcar
version: 1.1.0
storage:
  files:
    - path: /etc/hosts/mine
      contents:
        inline: below a file
`

func failed() Report {
	return Report{
		Failed: true, Phase: "provision", At: "conflict.bu:5:13", Mark: 5, Column: 13, Excerpt: Excerpt(config, 5),
		Sentence: "conflict.bu:5:13: cannot write file /etc/hosts/mine: mkdir /etc/hosts: not a directory",
		Done:     12, Kept: 1, Pending: 3,
		Last:   []string{"made directory /opt/bin (0755 root:root)", "wrote file /opt/bin/tool (0755 root:root, 12 bytes, sha256 ba7816bf)"},
		Next:   []string{"The machine reboots in 5m0s, so that the other system gets its turn.", "See also http://10.0.2.15/8d1c0a7be2d4"},
		Source: "opt/org.flatcar-linux/config", Boot: "4d3f7c7e-bb2a-4a0d-9a3b-7f0f2f8a5a11", System: "4593.0.0", Took: 1234 * time.Millisecond,
	}
}

func TestPageGolden(t *testing.T) {
	early := Report{Failed: true, Phase: "usr", System: "4593.0.0",
		Sentence: "no /usr with root hash 5c1f0a7be2d4 among vda3 USR-A (blank), vda4 USR-B (blank)",
		Next:     []string{"The machine reboots in 5m0s, so that the other system gets its turn."}}
	fine := Report{Phase: "provision", Source: "a.bu", Done: 1, Sentence: "provisioned from a.bu in 12ms: 1 step done", Last: []string{"wrote file /x"}}
	for name, tc := range map[string]struct {
		Report
		Screen
	}{
		"serial":    {failed(), Screen{Width: 80}},
		"vga80x25":  {failed(), Screen{Width: 80, Height: 25}},
		"vga160x50": {failed(), Screen{Width: 160, Height: 50}},
		"tiny":      {failed(), Screen{Width: 40, Height: 10}},
		"early":     {early, Screen{Width: 80, Height: 25}},
		"success":   {fine, Screen{Width: 80}},
	} {
		t.Run(name, func(t *testing.T) {
			lines := Page(tc.Report, tc.Screen)
			for _, l := range lines {
				if n := utf8.RuneCountInString(l); n > tc.Width {
					t.Errorf("%d characters: %s", n, l)
				}
			}
			if tc.Height > 0 && len(lines) > tc.Height {
				t.Errorf("%d lines", len(lines))
			}
			golden(t, filepath.Join("testdata", name+".txt"), strings.Join(lines, "\n")+"\n")
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestRoundTrips(t *testing.T) {
	r := failed()
	if got, err := Decode(r.Encode()); err != nil || !cmp.Equal(r, got) {
		t.Error(err, cmp.Diff(r, got))
	}
	code := r.CodeText()
	t.Logf("%d characters: %s", len(code), code)
	if got, err := DecodeText(code[:40] + "\n" + code[40:]); err != nil || !cmp.Equal(r, got) {
		t.Error(err, cmp.Diff(r, got))
	}
	var s Stored
	if err := json.Unmarshal(r.JSON(), &s); err != nil || !cmp.Equal(r, s.Report()) {
		t.Errorf("%v %s %s", err, cmp.Diff(r, s.Report()), r.JSON())
	}
}

func TestDecodeTextRefuses(t *testing.T) {
	code := failed().CodeText()
	for _, text := range []string{"", "W2:ABC", "W1:", "W1:a", code[:len(code)/2], "W1:" + base45([]byte("no deflate"))} {
		if r, err := DecodeText(text); err == nil {
			t.Errorf("%q was read: %+v", text, r)
		}
	}
}

// TestBase45 has the examples of RFC 9285, section 4.3.
func TestBase45(t *testing.T) {
	for plain, coded := range map[string]string{"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "": ""} {
		if got := base45([]byte(plain)); got != coded {
			t.Errorf("%q: %q", plain, got)
		}
		if got, err := unbase45(coded); err != nil || string(got) != plain {
			t.Errorf("%q: %q %v", coded, got, err)
		}
	}
}

// A config's text must not steer the terminal, nor make a page without end.
func TestBoundCutsAndCleans(t *testing.T) {
	r := Report{Failed: true, Sentence: "\x1b[2J\a" + strings.Repeat("ü", 10_000), Excerpt: Excerpt(strings.Repeat("x\x1bc"+strings.Repeat("y", 5000)+"\n", 9), 4), Mark: 4, Column: 4000}
	for _, l := range Page(r, Screen{Width: 80, Height: 25}) {
		if strings.ContainsAny(l, "\x1b\a") {
			t.Errorf("%q", l)
		}
	}
	if n := len(r.JSON()); n > 8<<10 {
		t.Errorf("%d bytes of JSON", n)
	}
}

func TestExcerptHidesSecrets(t *testing.T) {
	for line, want := range map[string]string{
		"  password_hash: $6$abc":             "  password_hash: (hidden)",
		`"passwordHash": "$6$x", "name":"a"`:  `"passwordHash": (hidden)`,
		"  - path: /etc/password":             "  - path: /etc/password",
		"  password_hash:":                    "  password_hash:",
		"- name: Authorization\n  value: abc": "- name: Authorization",
		"# the token: where it is":            "# the token: (hidden)",
	} {
		if got := Excerpt(line, 1)[0].Text; got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
	if Excerpt("a\n", 2) != nil || Excerpt("a", 0) != nil {
		t.Error("lines that are not there")
	}
}

func FuzzDecodeText(f *testing.F) {
	f.Add(failed().CodeText())
	f.Add("W1:ABC")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := DecodeText(text)
		if err != nil {
			return
		}
		again, err := DecodeText(r.CodeText())
		if err != nil || !cmp.Equal(r, again) {
			t.Error(err, cmp.Diff(r, again))
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(failed().Encode())
	f.Add([]byte("f 1\ns \x1b[2J\nx 3 \nzz\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		for _, l := range Page(r, Screen{Width: 80, Height: 25}) {
			if strings.ContainsRune(l, '\x1b') || utf8.RuneCountInString(l) > 80 {
				t.Errorf("%q", l)
			}
		}
		if again, err := Decode(r.Encode()); err != nil || !cmp.Equal(r, again) {
			t.Error(err, cmp.Diff(r, again))
		}
	})
}
