package modindex

import "strings"

// Match tells whether a modalias fits a pattern of modules.alias. It is
// fnmatch(3) without flags: * ? [abc] [a-z] [!a].
func Match(pattern, s string) bool {
	for pattern != "" {
		if pattern[0] == '*' {
			pattern = strings.TrimLeft(pattern, "*")
			for i := 0; i <= len(s); i++ {
				if Match(pattern, s[i:]) {
					return true
				}
			}
			return false
		}
		if s == "" {
			return false
		}
		rest, ok := matchOne(pattern, s[0])
		if !ok {
			return false
		}
		pattern, s = rest, s[1:]
	}
	return s == ""
}

// matchOne matches one character and returns the pattern behind it.
func matchOne(pattern string, c byte) (rest string, ok bool) {
	end := strings.IndexByte(pattern, ']')
	switch {
	case pattern[0] == '?':
		return pattern[1:], true
	case pattern[0] != '[' || end < 0:
		return pattern[1:], pattern[0] == c
	}
	set, negated := strings.CutPrefix(pattern[1:end], "!")
	found := false
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			found = found || set[i] <= c && c <= set[i+2]
			i += 2
		} else {
			found = found || set[i] == c
		}
	}
	return pattern[end+1:], found != negated
}
