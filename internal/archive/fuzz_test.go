package archive

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is read, written and read again is the same.
func FuzzRelations(f *testing.F) {
	for _, seed := range []string{"a (>= 1:2~rc1-3), b | c:any, d (<<4)", "a (", "a ()", "a (1)", "|", "a (> 1)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clauses, err := parseRelations(text)
		if err != nil {
			return
		}
		for _, c := range clauses {
			again, err := parseRelations(c.String())
			if err != nil {
				t.Fatalf("%q became %q: %v", text, c, err)
			}
			if diff := cmp.Diff([]clause{c}, again, cmp.AllowUnexported(relation{})); diff != "" {
				t.Errorf("%q became %q: %s", text, c, diff)
			}
		}
	})
}
