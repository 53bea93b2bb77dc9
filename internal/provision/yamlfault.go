package provision

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

var (
	lineRe = regexp.MustCompile(`line (\d+): (.*)`)
	typeRe = regexp.MustCompile("cannot unmarshal !!(\\w+)(?: `(.*)`)? into (\\S+)")
)

// Problems turns an error of the YAML reader, which knows lines only, into
// problems.
func (y YAML) Problems(err error) Report {
	var types *yaml.TypeError
	messages := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if errors.As(err, &types) {
		messages = types.Errors
	}
	var out Report
	for _, m := range messages {
		out = append(out, y.problem(m))
	}
	return out
}

func (y YAML) problem(message string) Problem {
	p := Problem{Severity: Error, Message: message, Position: Position{File: y.file}}
	line := 0
	if m := lineRe.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		p.Message, p.Position = m[2], y.lineStart(line)
	}
	if m := typeRe.FindStringSubmatch(p.Message); m != nil {
		if path := y.OnLine(line, m[1], strings.TrimSuffix(m[2], "...")); path != nil {
			p.Path, p.Position = path.String(), y.Position(path)
		}
		p.Message = fmt.Sprintf("%s is %s", orText(p.Path), yamlFound(m[1], m[2]))
		p.Remedy = "write " + yamlWanted(m[3])
		return p
	}
	if strings.HasPrefix(p.Message, "mapping key ") {
		p.Remedy = "keep one of the two"
		return p
	}
	if line, ok := y.FaultLine(); ok {
		p.Position = y.lineStart(line)
	}
	if tab, ok := y.indentedByTab(p.Position.Line); ok {
		p.Position, p.Message, p.Remedy = tab, "a tab indents this line, which YAML does not allow", "use spaces"
		return p
	}
	p.Message, p.Remedy = "the text is not valid YAML: "+p.Message, yamlRemedy(p.Message)
	return p
}

func yamlRemedy(message string) string {
	switch {
	case strings.Contains(message, "UTF-8"):
		return "save the text as UTF-8"
	case strings.HasPrefix(message, "unknown anchor"):
		return "define it before, as &NAME, or put a text that begins with * in quotes"
	}
	return "look at the indentation and for a missing colon or quote, there or just before"
}

// indentedByTab is the place of a tab before the text of a line.
func (y YAML) indentedByTab(line int) (Position, bool) {
	lines := strings.Split(string(y.text), "\n")
	if line < 1 || line > len(lines) {
		return Position{}, false
	}
	text := lines[line-1]
	tab := strings.IndexByte(text[:len(text)-len(strings.TrimLeft(text, " \t"))], '\t')
	return Position{y.file, line, tab + 1}, tab >= 0
}

func orText(path string) string {
	if path == "" {
		return "the text"
	}
	return path
}

func yamlFound(tag, value string) string {
	kind := map[string]string{"str": "the text", "int": "the number", "float": "the number", "bool": "the truth value", "map": "a mapping", "seq": "a list", "null": "nothing"}[tag]
	if value == "" {
		return kind
	}
	return kind + " " + strconv.Quote(value)
}

func yamlWanted(goType string) string {
	switch {
	case goType == "int", goType == "uint":
		return "a whole number without quotes (a mode begins with 0)"
	case goType == "bool":
		return "true or false without quotes"
	case goType == "string":
		return "a text"
	case strings.HasPrefix(goType, "[]"):
		return "a list, each entry beginning with -"
	}
	return "a mapping of names to values"
}

// lineStart is the place of the first sign on a line.
func (y YAML) lineStart(line int) Position {
	lines := strings.Split(string(y.text), "\n")
	if line < 1 || line > len(lines) {
		return Position{File: y.file}
	}
	text := lines[line-1]
	return Position{File: y.file, Line: line, Column: 1 + len(text) - len(strings.TrimLeft(text, " \t"))}
}

// At leads to the value that begins at a place, the innermost if several do.
// It is nil if none does.
func (y YAML) At(line, column int) Path {
	var found Path
	eachNode(y.root, nil, func(n *yaml.Node, at Path) {
		if n.Line == line && n.Column == column {
			found = at
		}
	})
	return found
}

// Get is a value of the text, nil if there is none.
func (y YAML) Get(p Path) any { return p.get(y.Value) }

// eachNode visits a node and all below it, outer ones first.
func eachNode(n *yaml.Node, at Path, visit func(*yaml.Node, Path)) {
	if n == nil || n.Kind == yaml.AliasNode {
		return
	}
	visit(n, at)
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			eachNode(c, at.with(i), visit)
		case i%2 == 1:
			eachNode(c, at.with(n.Content[i-1].Value), visit)
		}
	}
}
