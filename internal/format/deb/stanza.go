package deb

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// maxStanza is the size of one stanza at most, bytes. The largest in the
// archive are some 100 kB.
const maxStanza = 4 << 20

// Fields is a stanza as a map from field name, as written, to value.
type Fields map[string]string

// Get returns the value of a field, or "". Names are compared without regard
// to case.
func (f Fields) Get(name string) string {
	if v, ok := f[name]; ok {
		return v
	}
	for k, v := range f {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// Stanza is one paragraph of control data. It lives in the reader's buffer:
// it and what is taken from it by Bytes are valid until the callback returns.
type Stanza struct {
	fields []field
}

type field struct {
	name, value []byte // the value with its continuation lines as in the file
}

// Len is the number of fields.
func (s Stanza) Len() int { return len(s.fields) }

// Bytes returns the value of a field as it is in the file, with "\n " where a
// continuation line starts, or nil. Names are compared without regard to case.
func (s Stanza) Bytes(name string) []byte {
	for i := range s.fields {
		if f := &s.fields[i]; len(f.name) == len(name) && strings.EqualFold(string(f.name), name) {
			return f.value
		}
	}
	return nil
}

// Get returns a copy of the value of a field, or "". Continuation lines are
// joined by "\n" without the blank that marks them.
func (s Stanza) Get(name string) string { return unfold(s.Bytes(name)) }

// Fields copies the whole stanza.
func (s Stanza) Fields() Fields {
	out := make(Fields, len(s.fields))
	for _, f := range s.fields {
		out[string(f.name)] = unfold(f.value)
	}
	return out
}

func unfold(value []byte) string {
	if bytes.IndexByte(value, '\n') < 0 {
		return string(value)
	}
	first, rest, _ := strings.Cut(string(value), "\n")
	var b strings.Builder
	b.WriteString(strings.TrimRight(first, " \t"))
	for line := range strings.SplitSeq(rest, "\n") {
		if line[0] != '#' {
			b.WriteString("\n" + line[1:])
		}
	}
	return b.String()
}

// ReadStanzas calls each with every stanza of control data, such as a Packages
// index, in order. It stops at the first error, which it returns with the
// number of the line where the stanza starts.
func ReadStanzas(r io.Reader, each func(Stanza) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxStanza)
	sc.Split(splitParagraph)
	var s Stanza
	for line := 1; sc.Scan(); {
		text := sc.Bytes()
		fields, err := parseFields(s.fields[:0], text)
		if s.fields = fields; err == nil && len(fields) > 0 {
			err = each(s)
		}
		if err != nil {
			return fmt.Errorf("reading the stanza at line %d: %w", line, err)
		}
		line += bytes.Count(text, []byte("\n")) + 1
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("reading control data: %w", err)
	}
	return nil
}

// splitParagraph cuts after each blank line. A token keeps its line breaks
// except the one of the blank line, so that tokens tell how many lines passed.
func splitParagraph(data []byte, atEOF bool) (int, []byte, error) {
	if len(data) > 0 && data[0] == '\n' {
		return 1, data[:0], nil
	}
	if i := bytes.Index(data, []byte("\n\n")); i >= 0 {
		return i + 2, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func parseFields(fields []field, text []byte) ([]field, error) {
	valueStart := 0 // of the last field, in text
	for at := 0; at < len(text); {
		line, _, _ := bytes.Cut(text[at:], []byte("\n"))
		end := at + len(line)
		switch {
		case line[0] == '#':
		case line[0] != ' ' && line[0] != '\t':
			f, err := parseField(fields, line)
			if err != nil {
				return fields, err
			}
			fields = append(fields, f)
			valueStart = at + len(f.name) + 1 + leadingBlanks(line[len(f.name)+1:])
		case len(fields) == 0:
			return fields, fmt.Errorf("%.40q continues no field", line)
		case len(bytes.TrimSpace(line)) == 0:
			return fields, fmt.Errorf("a continuation line of %s is blank", fields[len(fields)-1].name)
		default:
			fields[len(fields)-1].value = text[valueStart:end]
		}
		at = end + 1
	}
	return fields, nil
}

func leadingBlanks(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " \t")) }

func parseField(before []field, line []byte) (field, error) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || line[0] == '-' || bytes.ContainsAny(line[:colon], " \t") {
		return field{}, fmt.Errorf("%.40q is not a field", line)
	}
	f := field{name: line[:colon], value: bytes.TrimSpace(line[colon+1:])}
	for i := range before {
		if len(before[i].name) == colon && bytes.EqualFold(before[i].name, f.name) {
			return field{}, fmt.Errorf("the field %s is there twice", f.name)
		}
	}
	if f.value == nil {
		f.value = line[:0] // there, and empty
	}
	return f, nil
}
