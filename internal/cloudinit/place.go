package cloudinit

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Places tell where the values of a cloud-config stand in the user's text. The
// zero value knows none.
type Places struct {
	in    place
	lines []string
	nodes map[string]*yaml.Node
}

func newPlaces(in place, data []byte, top *yaml.Node) Places {
	p := Places{in, strings.Split(string(data), "\n"), map[string]*yaml.Node{}}
	p.gather("", top)
	return p
}

// gather notes a value and all below it, under the names of Config's keys. What
// is below an alias counts as at the alias.
func (p Places) gather(name string, n *yaml.Node) {
	p.nodes[name] = n
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			p.gather(fmt.Sprintf("%s[%d]", name, i), c)
		case i%2 == 1:
			p.gather(strings.TrimPrefix(name+"."+n.Content[i-1].Value, "."), c)
		}
	}
}

// At is the place of a value, or of the nearest one around it:
// places.At("coreos.units[0].content").
func (p Places) At(name string) (file string, line, column int) {
	for {
		if n := p.nodes[name]; n != nil {
			return p.in.file, p.in.line(n.Line), n.Column
		}
		i := strings.LastIndexAny(name, ".[")
		if name == "" {
			return p.in.file, 0, 0
		}
		name = name[:max(i, 0)]
	}
}

// Within is the place of a line, from 1, of a value that is written as a
// literal block; else that of the value.
func (p Places) Within(name string, line int) (file string, at, column int) {
	n := p.nodes[name]
	if n == nil || line < 1 || n.Style&yaml.LiteralStyle == 0 || n.Line+line > len(p.lines) {
		return p.At(name)
	}
	text := p.lines[n.Line+line-1]
	return p.in.file, p.in.line(n.Line + line), len(text) - len(strings.TrimLeft(text, " ")) + 1
}
