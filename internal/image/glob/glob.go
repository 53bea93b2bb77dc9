// Package glob matches paths of the tree against ordered lists of patterns,
// as the recipe writes them to say what is left out of the image.
//
// A pattern is compared component by component: `*`, `?` and `[a-z]` stand
// for characters of one component, `**` for any number of components, and
// `{a,b}` for alternatives. A pattern that matches a directory covers all
// below it. In a list a leading `!` keeps, and the last pattern that matches
// a path decides.
package glob

import (
	"fmt"
	"path"
	"strings"
)

// Pattern is one compiled pattern; braces make it several alternatives.
type Pattern struct {
	alternatives []alternative
}

type alternative struct {
	prefix string   // literal start of any match, to refuse most paths at once
	parts  []string // components; "**" for any number
}

// Compile reads one pattern.
func Compile(pattern string) (Pattern, error) {
	var p Pattern
	expanded, err := expand(pattern)
	if err != nil {
		return Pattern{}, fmt.Errorf("reading the pattern %q: %w", pattern, err)
	}
	for _, text := range expanded {
		text = strings.Trim(text, "/")
		if text == "" {
			return Pattern{}, fmt.Errorf("reading the pattern %q: it is empty", pattern)
		}
		parts := strings.Split(text, "/")
		for _, part := range parts {
			if _, err := path.Match(part, ""); err != nil {
				return Pattern{}, fmt.Errorf("reading the pattern %q: %w", pattern, err)
			}
		}
		p.alternatives = append(p.alternatives, alternative{literalPrefix(text), parts})
	}
	return p, nil
}

// literalPrefix is what comes before the first special character; a "/"
// before "**" is left out because "**" also matches nothing.
func literalPrefix(text string) string {
	i := strings.IndexAny(text, `*?[\`)
	if i < 0 {
		return text
	}
	if strings.HasPrefix(text[i:], "**") {
		return strings.TrimSuffix(text[:i], "/")
	}
	return text[:i]
}

// expand resolves the first brace group and those after it.
func expand(pattern string) ([]string, error) {
	open := strings.IndexByte(pattern, '{')
	if open < 0 {
		if strings.IndexByte(pattern, '}') >= 0 {
			return nil, fmt.Errorf("} without {")
		}
		return []string{pattern}, nil
	}
	length := strings.IndexByte(pattern[open:], '}')
	if length < 0 {
		return nil, fmt.Errorf("{ without }")
	}
	group, rest := pattern[open+1:open+length], pattern[open+length+1:]
	if strings.IndexByte(group, '{') >= 0 {
		return nil, fmt.Errorf("braces in braces")
	}
	var out []string
	for _, choice := range strings.Split(group, ",") {
		more, err := expand(pattern[:open] + choice + rest)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// Match reports whether the pattern covers the clean relative path name.
func (p Pattern) Match(name string) bool {
	for _, a := range p.alternatives {
		if strings.HasPrefix(name, a.prefix) && matchParts(a.parts, name) {
			return true
		}
	}
	return false
}

func matchParts(parts []string, name string) bool {
	for len(parts) > 0 {
		if name == "" {
			return false
		}
		head, rest, _ := strings.Cut(name, "/")
		if parts[0] == "**" {
			if len(parts) == 1 || matchParts(parts[1:], name) {
				return true
			}
			name = rest
			continue
		}
		if !matchPart(parts[0], head) {
			return false
		}
		parts, name = parts[1:], rest
	}
	return true
}

func matchPart(part, name string) bool {
	if part == "*" || part == name {
		return true
	}
	if !strings.ContainsAny(part, `*?[\`) {
		return false
	}
	ok, _ := path.Match(part, name) // the syntax was checked by Compile
	return ok
}

// List is an ordered list of patterns.
type List struct {
	rules []rule
}

type rule struct {
	keep    bool
	pattern Pattern
}

// CompileList reads a list. The error names the pattern by its index.
func CompileList(patterns []string) (List, error) {
	var l List
	for i, text := range patterns {
		body, keep := strings.CutPrefix(text, "!")
		p, err := Compile(body)
		if err != nil {
			return List{}, fmt.Errorf("pattern %d: %w", i+1, err)
		}
		l.rules = append(l.rules, rule{keep, p})
	}
	return l, nil
}

// Match reports whether the list covers the path: whether the last pattern
// that matches it has no "!".
func (l List) Match(name string) bool {
	for i := len(l.rules) - 1; i >= 0; i-- {
		if l.rules[i].pattern.Match(name) {
			return !l.rules[i].keep
		}
	}
	return false
}
