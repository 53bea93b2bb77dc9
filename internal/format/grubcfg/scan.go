package grubcfg

import "strings"

// command is a setting that a script makes in any case. start and end enclose
// it with what separates it from the next command.
type command struct {
	start, end  int
	name, value string // the value still has its quotes
}

// opening and closing words of the language.
var (
	opening = map[string]bool{"if": true, "for": true, "while": true, "until": true, "function": true, "menuentry": true, "submenu": true}
	closing = map[string]bool{"fi": true, "done": true, "}": true}
)

// commands finds the settings outside of all blocks.
func commands(text string) []command {
	var out []command
	depth := 0
	for at := 0; at < len(text); {
		end := commandEnd(text, at)
		words := strings.Fields(text[at:end])
		switch {
		case len(words) == 0:
		case opening[words[0]]:
			depth++
		case closing[words[0]]:
			depth = max(depth-1, 0)
		case depth == 0:
			if c, ok := setting(text[at:end]); ok {
				c.start, c.end = at, min(end+1, len(text))
				out = append(out, c)
			}
		}
		at = end + 1
	}
	return out
}

// commandEnd finds the newline or semicolon that ends a command. A comment
// belongs to the command before it.
func commandEnd(text string, at int) int {
	var quote byte
	for i := at; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == '\'':
			if c == quote {
				quote = 0
			}
		case c == '\\':
			i++
		case c == '"' && quote == c:
			quote = 0
		case quote != 0:
		case c == '"', c == '\'':
			quote = c
		case c == '\n', c == ';':
			return i
		case c == '#' && (i == at || text[i-1] == ' ' || text[i-1] == '\t'):
			if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
				return i + n
			}
			return len(text)
		}
	}
	return len(text)
}

// setting reads "set name=value".
func setting(text string) (command, bool) {
	text = strings.TrimLeft(text, " \t\r")
	rest, ok := strings.CutPrefix(text, "set")
	if !ok || rest == "" || rest[0] != ' ' && rest[0] != '\t' {
		return command{}, false
	}
	name, value, ok := strings.Cut(strings.TrimLeft(rest, " \t"), "=")
	if !ok || name == "" || strings.Trim(name, nameBytes) != "" {
		return command{}, false
	}
	return command{name: name, value: value}, true
}

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

// expand takes the quotes off a value and puts variables in. A bare word ends
// with white space.
func expand(raw string, vars map[string]string) string {
	var out strings.Builder
	var quote byte
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case quote == '\'':
			if c == quote {
				quote = 0
				continue
			}
			out.WriteByte(c)
		case c == '\\' && i+1 < len(raw):
			i++
			out.WriteByte(raw[i])
		case c == '"':
			quote ^= c
		case quote == 0 && c == '\'':
			quote = c
		case quote == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			return out.String()
		case c == '$':
			name, used := variable(raw[i+1:])
			out.WriteString(vars[name])
			i += used
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// variable reads the name behind a dollar sign, and how much of s it takes.
func variable(s string) (name string, used int) {
	if rest, ok := strings.CutPrefix(s, "{"); ok {
		if n := strings.IndexByte(rest, '}'); n >= 0 {
			return rest[:n], n + 2
		}
		return "", 0
	}
	n := 0
	for n < len(s) && strings.IndexByte(nameBytes, s[n]) >= 0 {
		n++
	}
	return s[:n], n
}
