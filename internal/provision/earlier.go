package provision

import (
	"encoding/json"

	"wellcar.dev/internal/provision/legacy"
)

// parseEarlier reads Ignition JSON of spec 1 or 2 into c, whose locator is
// set to find elements of that text.
func parseEarlier(c Config, data []byte, version string) (Config, Report) {
	if p := typeProblem(c, data, legacy.Probe(version)); p != nil {
		return c, Report{*p}
	}
	converted, err := legacy.Convert(data)
	if err != nil {
		return c, Report{{Severity: Error, Message: err.Error(), Position: c.Position()}}
	}
	report := c.notes(converted.Notes)
	if converted.JSON == nil {
		return c, report
	}
	c.at = earlierText{c.at, converted.Origin}
	c, more := parseNew(c, converted.JSON)
	return c, append(report, more...)
}

func (c Config) notes(notes []legacy.Note) Report {
	var out Report
	for _, n := range notes {
		p := Problem{Severity: Warning, Message: n.Message, Remedy: n.Remedy, Path: Path(n.Path).String()}
		if n.Error {
			p.Severity = Error
		}
		p.Position = c.place(n.Path, n.Key, n.Message)
		out = append(out, p)
	}
	return out
}

// earlierText finds the elements of a converted config in the text of the
// earlier spec.
type earlierText struct {
	text   locator
	origin map[string][]any
}

func (l earlierText) find(p Path) (Position, bool) {
	return locate(l.text, l.source(p)), true
}

// source leads to the element of the earlier spec that p was made of.
func (l earlierText) source(p Path) Path {
	for n := len(p); n > 0; n-- {
		if from, ok := l.origin[p[:n].String()]; ok {
			return Path(from).with(p[n:]...)
		}
	}
	return p
}

// Positions are the places of all elements of the config's JSON.
func (c Config) Positions() Positions {
	var root any
	json.Unmarshal(c.JSON, &root)
	out := Positions{}
	c.positions(root, nil, out)
	return out
}

func (c Config) positions(node any, at Path, out Positions) {
	if len(at) > 0 {
		out[at.String()] = c.Position(at...)
	}
	switch node := node.(type) {
	case map[string]any:
		for name, child := range node {
			c.positions(child, at.with(name), out)
		}
	case []any:
		for i, child := range node {
			c.positions(child, at.with(i), out)
		}
	}
}
