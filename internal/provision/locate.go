package provision

import (
	"strings"
	"unicode"

	"github.com/coreos/vcontext/json"
	vpath "github.com/coreos/vcontext/path"
	"github.com/coreos/vcontext/tree"
	"gopkg.in/yaml.v3"

	"wellcar.dev/internal/format/unitfile"
)

// locator finds elements of an Ignition config in a text of the user.
type locator interface {
	find(p Path) (Position, bool)
}

// locate gives the place of an element, or of the nearest one around it.
func locate(l locator, p Path) Position {
	if l == nil {
		return Position{}
	}
	for {
		if at, ok := l.find(p); ok {
			return at
		}
		if len(p) == 0 {
			return Position{}
		}
		p = p[:len(p)-1]
	}
}

// Positions maps elements, by Path.String, to their places.
type Positions map[string]Position

func (m Positions) find(p Path) (Position, bool) {
	at, ok := m[p.String()]
	return at, ok
}

// pinned is a text whose elements all lie at one place of another text.
type pinned Position

func (l pinned) find(Path) (Position, bool) { return Position(l), true }

// jsonText finds elements in the JSON they were read from.
type jsonText struct {
	file string
	root tree.Node
}

func newJSONText(file string, data []byte) locator {
	root, err := json.UnmarshalToContext(data)
	if err != nil || root == nil {
		return pinned{File: file}
	}
	return jsonText{file, root}
}

func (l jsonText) find(p Path) (Position, bool) {
	n, err := l.root.Get(vpath.ContextPath{Path: p})
	if err != nil {
		return Position{}, false
	}
	line, column := n.Start()
	if bracketed(n) && column > 1 {
		column--
	}
	return Position{l.file, int(line), int(column)}, line > 0
}

// key finds the name of a field rather than its value.
func (l jsonText) key(p Path) (Position, bool) {
	last, ok := p[len(p)-1].(string)
	if !ok {
		return l.find(p)
	}
	return l.find(p[:len(p)-1].with(tree.Key(last)))
}

// deepest leads to the innermost value whose text has the byte at an index.
func (l jsonText) deepest(index int64) Path {
	return deepest(l.root, index, nil)
}

func deepest(n tree.Node, index int64, at Path) Path {
	switch n := n.(type) {
	case tree.MapNode:
		for name, c := range n.Children {
			if covers(c, index) {
				return deepest(c, index, at.with(name))
			}
		}
	case tree.SliceNode:
		for i, c := range n.Children {
			if covers(c, index) {
				return deepest(c, index, at.with(i))
			}
		}
	}
	return at
}

func covers(n tree.Node, index int64) bool {
	m := n.GetMarker()
	if m.StartP == nil || m.EndP == nil {
		return false
	}
	start := m.StartP.Index
	if bracketed(n) {
		start--
	}
	return start <= index && index <= m.EndP.Index
}

// bracketed tells whether a node is an object or a list. The reader marks
// their beginning one sign late, behind the bracket.
func bracketed(n tree.Node) bool {
	switch n.(type) {
	case tree.MapNode, tree.SliceNode:
		return true
	}
	return false
}

// YAML finds elements in a YAML text: by their own names, or by those of the
// Ignition config made from it, whose camelCase becomes snake_case. The
// latter serves where the exact map of the translation is not at hand.
type YAML struct {
	file  string
	text  []byte
	root  *yaml.Node
	Value any // the text decoded, nil if it is not valid
}

// NewYAML reads the first document of a text. A text that is not YAML has one
// place: its file.
func NewYAML(file string, data []byte) YAML {
	var doc yaml.Node
	y := YAML{file: file, text: data}
	if err := yaml.Unmarshal(data, &doc); err == nil && len(doc.Content) > 0 {
		y.root = doc.Content[0]
		doc.Decode(&y.Value)
	}
	return y
}

// Position is the place of an element, or of the nearest one around it.
func (y YAML) Position(p Path) Position { return locate(y, p) }

// Has tells whether there is such an element.
func (y YAML) Has(p Path) bool { return y.node(p) != nil }

// Key is the place of a field's name rather than its value.
func (y YAML) Key(p Path) Position {
	if n := y.node(p[:len(p)-1]); n != nil {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == p[len(p)-1] {
				return Position{y.file, n.Content[i].Line, n.Content[i].Column}
			}
		}
	}
	return y.Position(p)
}

// Within is the place of a 1-based line of a text written as a literal block.
func (y YAML) Within(p Path, line int) (Position, bool) {
	n := y.node(p)
	if n == nil || line < 1 || n.Style&yaml.LiteralStyle == 0 {
		return Position{}, false
	}
	lines := strings.Split(string(y.text), "\n")
	if n.Line+line > len(lines) {
		return Position{}, false
	}
	text := lines[n.Line+line-1]
	column := len(text) - len(strings.TrimLeft(text, " ")) + 1
	return Position{y.file, n.Line + line, column}, true
}

// Fault is the place of the line at fault in a unit's text, if a finding of
// the upstream packages is about one and it is written as a literal block.
func (y YAML) Fault(p Path, message string) (Position, bool) {
	contents, ok := p.get(y.Value).(string)
	if !ok || !strings.HasPrefix(message, unitPrefix) {
		return Position{}, false
	}
	line, _ := unitfile.Fault(contents)
	return y.Within(p, line)
}

// File is the name of the text.
func (y YAML) File() string { return y.file }

// OnLine leads to the first value that begins on a line and has a type
// (str, int, map, seq ...) and, if it is no list or mapping, a text that
// begins so. It is nil if there is none.
func (y YAML) OnLine(line int, kind, prefix string) Path {
	return onLine(y.root, nil, func(n *yaml.Node) bool {
		return n.Line == line && n.ShortTag() == "!!"+kind && strings.HasPrefix(n.Value, prefix)
	})
}

func onLine(n *yaml.Node, at Path, match func(*yaml.Node) bool) Path {
	if n == nil || n.Kind == yaml.AliasNode {
		return nil
	}
	if len(at) > 0 && match(n) {
		return at
	}
	for i, c := range n.Content {
		var p Path
		switch {
		case n.Kind == yaml.SequenceNode:
			p = at.with(i)
		case i%2 == 1:
			p = at.with(n.Content[i-1].Value)
		default:
			continue
		}
		if found := onLine(c, p, match); found != nil {
			return found
		}
	}
	return nil
}

// Longest text, in lines, in which FaultLine looks for itself.
const faultLinesMax = 3000

// FaultLine is the first line that no reader could make sense of: the one
// after the longest beginning of the text that is valid. The reader itself
// names the line on which the structure around it began.
func (y YAML) FaultLine() (line int, ok bool) {
	lines := strings.SplitAfter(string(y.text), "\n")
	if y.root != nil || len(lines) > faultLinesMax {
		return 0, false
	}
	end := len(y.text)
	for i := len(lines) - 1; i >= 0; i-- {
		end -= len(lines[i])
		var doc yaml.Node
		if yaml.Unmarshal(y.text[:end], &doc) == nil {
			return i + 1, true
		}
	}
	return 0, false
}

func (y YAML) find(p Path) (Position, bool) {
	if y.root == nil {
		return Position{File: y.file}, len(p) == 0
	}
	n := y.node(p)
	if n == nil {
		return Position{}, false
	}
	return Position{y.file, n.Line, n.Column}, true
}

func (y YAML) node(p Path) *yaml.Node {
	n := y.root
	for _, e := range p {
		if n == nil {
			return nil
		}
		n = yamlChild(n, e)
	}
	return n
}

func yamlChild(n *yaml.Node, e any) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch e := e.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && e < len(n.Content) {
			return n.Content[e]
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if k := n.Content[i].Value; k == e || k == snake(e) {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// snake turns sshAuthorizedKeys into ssh_authorized_keys and sizeMiB into
// size_mib.
func snake(name string) string {
	name = strings.ReplaceAll(name, "MiB", "_mib")
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
