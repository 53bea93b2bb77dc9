// Package cmdline reads and writes the kernel command line as the kernel does
// (Linux documentation, "admin-guide/kernel-parameters"): words are separated
// by white space, double quotes keep it, "-" and "_" are the same in a name,
// and what follows a bare "--" is for init.
package cmdline

import (
	"slices"
	"strings"
)

// Arg is one parameter.
type Arg struct {
	Name     string // as written
	Value    string // without quotes
	HasValue bool   // there was a "="
}

// Line is a parsed command line.
type Line struct {
	Args []Arg    // before "--"
	Init []string // words after "--"
}

// Parse reads a command line. It accepts everything: an unclosed quote ends
// with the line.
func Parse(s string) Line {
	var l Line
	words := Split(s)
	for i, word := range words {
		if word == "--" {
			for _, rest := range words[i+1:] {
				l.Init = append(l.Init, unquote(rest))
			}
			break
		}
		l.Args = append(l.Args, parseArg(word))
	}
	return l
}

// Split cuts at white space outside quotes; quotes stay.
func Split(s string) (words []string) {
	start, quoted := -1, false
	for i := range len(s) {
		switch c := s[i]; {
		case !quoted && isSpace(c):
			if start >= 0 {
				words = append(words, s[start:i])
			}
			start = -1
			continue
		case c == '"':
			quoted = !quoted
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		words = append(words, s[start:])
	}
	return words
}

// Has tells whether the words of an item stand together on a line.
func Has(line, item string) bool { return Find(Split(line), item) >= 0 }

// Find is where the words of an item begin, -1 if they are not there together
// or there are none.
func Find(words []string, item string) int {
	want := Split(item)
	if len(want) == 0 {
		return -1
	}
	for at := 0; at+len(want) <= len(words); at++ {
		if slices.Equal(words[at:at+len(want)], want) {
			return at
		}
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// parseArg reads name, name=value, name="a value" and "name=a value".
func parseArg(word string) Arg {
	if strings.HasPrefix(word, `"`) {
		word = unquote(word)
	}
	name, value, has := strings.Cut(word, "=")
	return Arg{Name: name, Value: unquote(value), HasValue: has}
}

// unquote drops a quote at the start, and the one at the end that closes it.
func unquote(s string) string {
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		return strings.TrimSuffix(rest, `"`)
	}
	return s
}

// same compares names as the kernel does.
func same(a, b string) bool {
	return len(a) == len(b) && strings.ReplaceAll(a, "-", "_") == strings.ReplaceAll(b, "-", "_")
}

// Has tells whether a parameter is there, with or without a value.
func (l Line) Has(name string) bool {
	for _, a := range l.Args {
		if same(a.Name, name) {
			return true
		}
	}
	return false
}

// Get returns the value of a parameter. The last one wins. A parameter
// without "=" has the value "" and counts as there.
func (l Line) Get(name string) (value string, ok bool) {
	for _, a := range l.Args {
		if same(a.Name, name) {
			value, ok = a.Value, true
		}
	}
	return value, ok
}

// First is Get for a parameter with several names (flatcar.x, coreos.x): the
// first name that is there counts, whatever the order on the line.
func (l Line) First(names ...string) (value string, ok bool) {
	for _, name := range names {
		if value, ok = l.Get(name); ok {
			return value, true
		}
	}
	return "", false
}

// All returns the values of a parameter that may come several times
// (console=), in order.
func (l Line) All(name string) (values []string) {
	for _, a := range l.Args {
		if same(a.Name, name) {
			values = append(values, a.Value)
		}
	}
	return values
}

// Bool reads a switch: a bare name, 1, yes, y, true, t and on are true; 0, no,
// n, false, f and off are false, in any case. Absence and other values give
// the fallback.
func (l Line) Bool(name string, fallback bool) bool {
	var last *Arg
	for i := range l.Args {
		if same(l.Args[i].Name, name) {
			last = &l.Args[i]
		}
	}
	if last == nil {
		return fallback
	}
	if !last.HasValue {
		return true
	}
	switch strings.ToLower(last.Value) {
	case "1", "yes", "y", "true", "t", "on":
		return true
	case "0", "no", "n", "false", "f", "off":
		return false
	}
	return fallback
}

// String writes one parameter, in quotes if it has white space.
func (a Arg) String() string {
	if !a.HasValue {
		return quote(a.Name)
	}
	if strings.ContainsFunc(a.Name, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) }) {
		return `"` + a.Name + "=" + a.Value + `"`
	}
	return a.Name + "=" + quote(a.Value)
}

func quote(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) }) {
		return `"` + s + `"`
	}
	return s
}

// Words are all words of the line as String writes them.
func (l Line) Words() (words []string) {
	for _, a := range l.Args {
		words = append(words, a.String())
	}
	if len(l.Init) > 0 {
		words = append(words, "--")
		for _, w := range l.Init {
			words = append(words, quote(w))
		}
	}
	return words
}

// String joins the words with single spaces.
func (l Line) String() string { return strings.Join(l.Words(), " ") }
