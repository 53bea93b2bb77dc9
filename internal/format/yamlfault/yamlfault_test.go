package yamlfault

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestLocate(t *testing.T) {
	for text, want := range map[string]string{
		"a: [":               "f.yaml:1: did not find expected node content",
		"a: x\nb: y\n":       "f.yaml:1: cannot unmarshal !!str `x` into int\nf.yaml:2: key b is not known here",
		"a: 1\n---\nc: 2\nx": "",
		"a: *none":           "f.yaml: unknown anchor 'none' referenced",
	} {
		var into struct{ A int }
		d := yaml.NewDecoder(strings.NewReader(text))
		d.KnownFields(true)
		err := d.Decode(&into)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || Locate("f.yaml", err).Error() != want):
			t.Errorf("%q: %v, want %s", text, Locate("f.yaml", err), want)
		}
	}
}
