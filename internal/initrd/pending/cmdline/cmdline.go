// Package cmdline reads the kernel command line.
//
// TODO(integration): use internal/format/cmdline.
package cmdline

import "strings"

// Line is a parsed command line.
type Line struct{ words [][2]string }

// Parse splits a line at blanks outside double quotes.
func Parse(s string) Line {
	var l Line
	quoted := false
	for _, f := range strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\n' || r == '\t')
	}) {
		key, value, _ := strings.Cut(strings.ReplaceAll(f, `"`, ""), "=")
		l.words = append(l.words, [2]string{key, value})
	}
	return l
}

// All returns the values of every occurrence of name, in order.
func (l Line) All(name string) []string {
	var out []string
	for _, w := range l.words {
		if w[0] == name {
			out = append(out, w[1])
		}
	}
	return out
}

// Get returns the last value of name.
func (l Line) Get(name string) (string, bool) {
	all := l.All(name)
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1], true
}

// First returns the value of the first of the names that is present.
func (l Line) First(names ...string) (string, bool) {
	for _, n := range names {
		if v, ok := l.Get(n); ok {
			return v, true
		}
	}
	return "", false
}
