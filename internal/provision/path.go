package provision

import (
	"strconv"
	"strings"
)

// Path leads to one element of a configuration: field names (string) and
// list indexes (int).
type Path []any

// String is the path as users read it: storage.files[0].path.
func (p Path) String() string {
	var b strings.Builder
	for _, e := range p {
		switch e := e.(type) {
		case int:
			b.WriteString("[" + strconv.Itoa(e) + "]")
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(e)
		}
	}
	return b.String()
}

// with returns a new path with more elements.
func (p Path) with(more ...any) Path {
	return append(p[:len(p):len(p)], more...)
}

// get walks a decoded JSON or YAML value; nil if there is nothing.
func (p Path) get(root any) any {
	for _, e := range p {
		switch v := root.(type) {
		case map[string]any:
			name, ok := e.(string)
			if !ok {
				return nil
			}
			root = v[name]
		case []any:
			i, ok := e.(int)
			if !ok || i < 0 || i >= len(v) {
				return nil
			}
			root = v[i]
		default:
			return nil
		}
	}
	return root
}
