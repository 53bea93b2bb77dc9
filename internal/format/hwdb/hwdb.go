// Package hwdb compiles the hardware database of udev: text files of match
// patterns and properties (hwdb(7)) become one file with a radix tree, the
// hwdb.bin that libudev and systemd map (systemd's hwdb-internal.h, version
// 2 of value entries).
//
// systemd-hwdb does the same, but writes the folder that it worked in into
// its result; equal sources give equal bytes here. Limits: at most 65535
// files; faulty lines are errors, not warnings.
package hwdb

import (
	"fmt"
	"strings"
)

// File is one source. Files are compiled in order; of two lines with the
// same pattern and key the later one counts.
type File struct {
	Name string // as it is recorded: /usr/lib/udev/hwdb.d/20-x.hwdb
	Text string
}

// Compile makes hwdb.bin. The error names file and line.
func Compile(files []File) ([]byte, error) {
	root := &node{}
	for i, f := range files {
		p := parser{root: root, file: f.Name, priority: uint16(i + 1)}
		for n, line := range strings.Split(f.Text, "\n") {
			if err := p.line(line, uint32(n+1)); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", f.Name, n+1, err)
			}
		}
	}
	return encode(root), nil
}

// parser holds the patterns of the record that is being read. A record is
// one or more pattern lines, then property lines, which start with a space;
// an empty line ends it.
type parser struct {
	root     *node
	file     string
	priority uint16
	matches  []string
	inData   bool
}

func (p *parser) line(line string, number uint32) error {
	if strings.HasPrefix(line, "#") {
		return nil // also inside of a record
	}
	if i := strings.IndexByte(line, '#'); i >= 0 {
		line = line[:i]
	}
	line = strings.TrimRight(line, " \t\r\n")
	switch {
	case line == "":
		if len(p.matches) > 0 && !p.inData {
			return fmt.Errorf("the record has no property")
		}
		p.matches, p.inData = nil, false
	case line[0] != ' ' && line[0] != '\t':
		if p.inData {
			return fmt.Errorf("%q is neither a property nor an empty line", line)
		}
		p.matches = append(p.matches, line)
	case len(p.matches) == 0:
		return fmt.Errorf("the property %q has no pattern", line)
	default:
		p.inData = true
		return p.property(line, number)
	}
	return nil
}

// property adds a property to all patterns. Its key keeps one space in
// front, which is how readers tell properties from what may come later.
func (p *parser) property(line string, number uint32) error {
	key, text, ok := strings.Cut(strings.TrimLeft(line, " \t"), "=")
	if !ok || key == "" {
		return fmt.Errorf("%q is not KEY=value", line)
	}
	for _, m := range p.matches {
		p.root.insert(m, value{" " + key, text, p.file, number, p.priority})
	}
	return nil
}

// node is a place in the tree: the text that leads to it from its parent,
// after the byte that the parent lists it under.
type node struct {
	prefix   string
	children []child // sorted by byte
	values   []value // sorted by key
}

type child struct {
	c byte
	n *node
}

type value struct {
	key, text, file string
	line            uint32
	priority        uint16
}

// insert adds a value under a pattern, and splits nodes where patterns part.
func (n *node) insert(pattern string, v value) {
	for {
		common := 0
		for common < len(n.prefix) && common < len(pattern) && n.prefix[common] == pattern[common] {
			common++
		}
		if common < len(n.prefix) {
			below := &node{n.prefix[common+1:], n.children, n.values}
			*n = node{n.prefix[:common], []child{{n.prefix[common], below}}, nil}
		}
		if pattern = pattern[common:]; pattern == "" {
			n.set(v)
			return
		}
		n, pattern = n.child(pattern[0], pattern[1:])
	}
}

// child finds or makes the child for a byte; a new one takes all of rest.
func (n *node) child(c byte, rest string) (*node, string) {
	i := 0
	for i < len(n.children) && n.children[i].c < c {
		i++
	}
	if i < len(n.children) && n.children[i].c == c {
		return n.children[i].n, rest
	}
	made := &node{prefix: rest}
	n.children = append(n.children, child{})
	copy(n.children[i+1:], n.children[i:])
	n.children[i] = child{c, made}
	return made, rest
}

func (n *node) set(v value) {
	i := 0
	for i < len(n.values) && n.values[i].key < v.key {
		i++
	}
	if i < len(n.values) && n.values[i].key == v.key {
		n.values[i] = v
		return
	}
	n.values = append(n.values, value{})
	copy(n.values[i+1:], n.values[i:])
	n.values[i] = v
}
