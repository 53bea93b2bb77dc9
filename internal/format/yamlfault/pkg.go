// Package yamlfault gives the faults that the YAML reader finds a place.
package yamlfault

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

var (
	lineRe = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+): `)
	keyRe  = regexp.MustCompile(`field (\S+) not found in type .*`)
)

// Locate turns the "line N: fault" of gopkg.in/yaml.v3 into "NAME:N: fault", one
// error for each of a TypeError; what has no line is "NAME: fault".
func Locate(name string, err error) error {
	faults := []string{err.Error()}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		faults = typed.Errors
	}
	var out []error
	for _, text := range faults {
		text = keyRe.ReplaceAllString(text, "key $1 is not known here")
		if m := lineRe.FindStringSubmatch(text); m != nil {
			out = append(out, fmt.Errorf("%s:%s: %s", name, m[1], text[len(m[0]):]))
			continue
		}
		out = append(out, fmt.Errorf("%s: %s", name, strings.TrimPrefix(text, "yaml: ")))
	}
	return errors.Join(out...)
}
