package provision

import (
	"encoding/json"
	"fmt"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"

	"github.com/coreos/ignition/v2/config/merge"
	"github.com/coreos/ignition/v2/config/validate"
)

// Merge lays a child config over a parent by the rules of the spec. Either
// may be empty. Each element keeps its place in the text it came from.
func Merge(parent, child Config) Config {
	switch {
	case !child.Provided():
		return parent
	case !parent.Provided():
		return child
	}
	result, transcript := merge.MergeStructTranscribe(parent.Ignition, child.Ignition)
	at := mergedText{parent: parent.at, child: child.at, from: make(map[string]origin, len(transcript.Mappings))}
	for _, m := range transcript.Mappings {
		at.from[Path(m.To.Path).String()] = origin{m.From.Path, m.From.Tag == merge.TAG_CHILD}
	}
	out := child
	out.UserProvided = parent.UserProvided || child.UserProvided
	out.Ignition, out.at = result.(types.Config), at
	out.JSON, _ = json.Marshal(out.Ignition)
	return out
}

// mergedText finds the elements of a merged config in the two it came from.
type mergedText struct {
	parent, child locator
	from          map[string]origin
}

type origin struct {
	path  Path
	child bool
}

func (l mergedText) find(p Path) (Position, bool) {
	o, ok := l.from[p.String()]
	if !ok {
		return Position{}, false
	}
	if o.child {
		return locate(l.child, o.path), true
	}
	return locate(l.parent, o.path), true
}

// resolve follows the config's references to other configs.
func (c Config) resolve() (Config, Report) {
	section := c.Ignition.Ignition.Config
	if section.Replace.Source != nil {
		return c.loadReference(section.Replace, Path{"ignition", "config", "replace"})
	}
	if len(section.Merge) == 0 {
		return c, nil
	}
	out, report := c, Report(nil)
	for i, res := range section.Merge {
		child, found := c.loadReference(res, Path{"ignition", "config", "merge", i})
		report = append(report, found...)
		if found.Err() == nil {
			out = Merge(out, child)
		}
	}
	if report.Err() != nil {
		return c, report
	}
	return out, append(report, out.convert(validate.ValidateWithContext(out.Ignition, nil), out.JSON)...)
}

// loadReference reads a config that another one names and all that it names.
// Its elements have the place of the reference.
func (c Config) loadReference(res types.Resource, p Path) (Config, Report) {
	content, problem := c.content(res, p)
	if problem != nil {
		return c, Report{*problem}
	}
	at := c.Position(p...)
	child, report := Load(at.File, content.data, LoadOptions{})
	child.at = pinned(at)
	for i := range report {
		report[i].Position = at
		report[i].Message = fmt.Sprintf("the config that %s embeds: %s", p, report[i].Message)
	}
	if report.Err() != nil {
		return c, report
	}
	child, more := child.resolve()
	return child, append(report, more...)
}
