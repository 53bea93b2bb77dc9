package deb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadStanzas(t *testing.T) {
	const text = "\n\nPackage: a\nEmpty:\nDescription:   first  \n second\n .\n# a remark\n  third\nEnd: 1\n\n\n# only a remark\n\nPackage: b\nX: y:z"
	var got []Fields
	err := ReadStanzas(strings.NewReader(text), func(s Stanza) error {
		got = append(got, s.Fields())
		if s.Get("PACKAGE") == "" || s.Get("none") != "" {
			t.Errorf("Get is wrong for %v", s.Fields())
		}
		return nil
	})
	want := []Fields{
		{"Package": "a", "Empty": "", "Description": "first\nsecond\n.\n third", "End": "1"},
		{"Package": "b", "X": "y:z"},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestReadStanzasRefuses(t *testing.T) {
	for text, line := range map[string]string{
		"A: b\n\nno field\n":         "line 3",
		" goes on\n":                 "line 1",
		"A: b\na: c\n":               "twice",
		"A: b\n \t\nB: c\n":          "blank",
		": x\n":                      "not a field",
		"-----BEGIN PGP: x\n":        "not a field",
		strings.Repeat("x", 5<<20):   "too long",
		"A: b\n\n\nA: b\n\nA b: c\n": "line 6",
	} {
		err := ReadStanzas(strings.NewReader(text), func(Stanza) error { return nil })
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%.20q: got %v, want a word of %s", text, err, line)
		}
	}
}

func FuzzReadStanzas(f *testing.F) {
	f.Add("A: b\n c\n\nD:\n #x\n#y\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		ReadStanzas(strings.NewReader(text), func(s Stanza) error {
			if s.Len() != len(s.Fields()) && !strings.ContainsFunc(text, func(r rune) bool { return r > 127 }) {
				t.Errorf("%d fields, %v", s.Len(), s.Fields())
			}
			return nil
		})
	})
}

func BenchmarkReadStanzas(b *testing.B) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "Package: p%d\nVersion: 1.0-%d\nArchitecture: amd64\nDepends: libc6 (>= 2.38), libfoo%d\nDescription: some words\n and more\nFilename: pool/main/p/p%d.deb\nSize: 12345\nSHA256: 0123456789012345678901234567890123456789012345678901234567890123\n\n", i, i, i, i)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		err := ReadStanzas(strings.NewReader(text.String()), func(s Stanza) error {
			s.Bytes("Package")
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
