package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A stanzaReader reads "Field: value" stanzas separated by blank lines, as in
// Packages, Release and *.sources, and keeps only the fields it was asked for.
// Field names come back in lower case; the lines of a value are joined by "\n".
type stanzaReader struct {
	in    *bufio.Reader
	keep  func(field string) bool
	line  int
	long  []byte // a line that did not fit the reader's buffer
	value []byte // of the field being read
}

func newStanzaReader(in *bufio.Reader, keep func(field string) bool) *stanzaReader {
	return &stanzaReader{in: in, keep: keep}
}

// next returns the fields of the next stanza, or io.EOF.
func (r *stanzaReader) next() (map[string]string, error) {
	fields := make(map[string]string, 12)
	current, seen := "", false
	defer func() { r.value = r.value[:0] }()
	flush := func() {
		if current != "" {
			fields[current] = string(r.value)
		}
	}
	for {
		line, err := r.readLine()
		if errors.Is(err, io.EOF) && seen {
			flush()
			return fields, nil
		}
		if err != nil {
			return nil, err
		}
		switch {
		case len(bytes.TrimSpace(line)) == 0:
			if seen {
				flush()
				return fields, nil
			}
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if !seen {
				return nil, fmt.Errorf("line %d continues no field", r.line)
			}
			if current != "" {
				r.value = append(append(r.value, '\n'), bytes.TrimSpace(line)...)
			}
		default:
			flush()
			seen = true
			if current, err = r.field(line); err != nil {
				return nil, err
			}
		}
	}
}

// field begins one field and returns its name, or "" if it is not kept.
func (r *stanzaReader) field(line []byte) (string, error) {
	name, value, found := bytes.Cut(line, []byte(":"))
	if !found {
		return "", fmt.Errorf("line %d has no colon", r.line)
	}
	key := lowerName(name)
	if !r.keep(key) {
		return "", nil
	}
	r.value = append(r.value[:0], bytes.TrimSpace(value)...)
	return key, nil
}

// lowerName avoids an allocation for each of a million lines: the usual field
// names are short.
func lowerName(name []byte) string {
	var buf [32]byte
	if len(name) > len(buf) {
		return string(bytes.ToLower(name))
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return string(buf[:len(name)])
}

// readLine returns a line without its end, valid until the next call.
func (r *stanzaReader) readLine() ([]byte, error) {
	r.line++
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		r.long = append(r.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = r.in.ReadSlice('\n')
			r.long = append(r.long, line...)
		}
		line = r.long
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
