package grub

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Variable is one of an environment block.
type Variable struct{ Name, Value string }

const (
	envHead = "# GRUB Environment Block\n"
	envFill = '#'
)

// Env writes an environment block of a size in bytes. GRUB changes the values
// of variables in it, never its size.
func Env(vars []Variable, size int) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(envHead)
	escape := strings.NewReplacer(`\`, `\\`, "\n", "\\\n")
	for _, v := range vars {
		if v.Name == "" || strings.ContainsAny(v.Name, "=#\\\n") {
			return nil, fmt.Errorf("writing an environment block: %q is no name of a variable", v.Name)
		}
		fmt.Fprintf(&b, "%s=%s\n", v.Name, escape.Replace(v.Value))
	}
	if b.Len() > size {
		return nil, fmt.Errorf("writing an environment block: the variables need %d bytes, it has %d", b.Len(), size)
	}
	return append(b.Bytes(), bytes.Repeat([]byte{envFill}, size-b.Len())...), nil
}

// ParseEnv reads an environment block.
func ParseEnv(block []byte) (map[string]string, error) {
	text, ok := strings.CutPrefix(string(block), envHead)
	if !ok {
		return nil, errors.New("reading an environment block: it does not begin as one")
	}
	vars := map[string]string{}
	for text != "" && text[0] != envFill {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			return nil, errors.New("reading an environment block: a line names no variable")
		}
		value, rest, ok := cutValue(rest)
		if !ok {
			return nil, fmt.Errorf("reading an environment block: the value of %s does not end", name)
		}
		vars[name], text = value, rest
	}
	return vars, nil
}

// cutValue takes a value and the end of its line off the front.
func cutValue(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
