package unitcheck

import (
	"fmt"
	"path"
	"strings"

	"wellcar.dev/internal/format/unitfile"
)

// execKind is the kind of command lines.
const execKind = "PATH [ARGUMENT [...]]"

// Signs before the program of a command line, systemd.service(5).
const execPrefixes = "@-:+!|"

// cutWord takes the first word off a value as systemd does: quotes may stand
// anywhere in it, and a backslash takes the next sign's meaning. It is not
// balanced if a quote does not end.
func cutWord(s string) (word, rest string, balanced bool) {
	s = strings.TrimLeft(s, " \t\r\n")
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			b.WriteString(s[i : i+2])
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && strings.IndexByte(" \t\r\n", c) >= 0:
			return b.String(), s[i:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", quote == 0
}

// balanced tells whether all quotes of a value end.
func balanced(value string) bool {
	for value != "" {
		var ok bool
		if _, value, ok = cutWord(value); !ok {
			return false
		}
	}
	return true
}

// Letters of specifiers, systemd.unit(5), also those of other versions.
const specifiers = "aAbBCcdDEfgGhHiIjJlLmMnNopPqrRsStTuUvVwWyY"

// unknownSpecifier is the first % with a letter or digit that has no meaning,
// empty if there is none. With other signs a % stands for itself.
func unknownSpecifier(value string) string {
	for i := 0; i+1 < len(value); i++ {
		c := value[i+1]
		letter := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		switch {
		case value[i] != '%':
		case letter && strings.IndexByte(specifiers, c) < 0:
			return value[i : i+2]
		default:
			i++
		}
	}
	return ""
}

// command looks at a command line: a fault makes systemd refuse the unit, or
// leave the command out if it may fail.
func command(a unitfile.Assignment) []Finding {
	if !balanced(a.Value) {
		return []Finding{{a.Line, a.Name + ": a quote does not end, so systemd refuses the unit", "end it, or write \\\" for a quote that stands for itself"}}
	}
	word, _, _ := cutWord(a.Value)
	if wrong := unknownSpecifier(a.Value); wrong != "" && !strings.Contains(word[:len(word)-len(strings.TrimLeft(word, execPrefixes))], "-") {
		return []Finding{{a.Line, fmt.Sprintf("%s: %s stands for nothing, so systemd refuses the unit", a.Name, wrong), "write %" + wrong + " for the signs themselves"}}
	}
	name := strings.TrimLeft(word, execPrefixes)
	prefixes := word[:len(word)-len(name)]
	if strings.Contains(name, "/") && !path.IsAbs(name) && !strings.ContainsAny(name, `%\`) && !strings.Contains(prefixes, "-") {
		return []Finding{{a.Line, fmt.Sprintf("%s: %s is neither a path from / on nor the name of a program, so systemd refuses the unit", a.Name, name), "write the whole path"}}
	}
	return nil
}
