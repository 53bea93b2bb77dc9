package provision

import (
	"github.com/coreos/ignition/v2/config/merge"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
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
	out.Referenced = append(parent.Referenced[:len(parent.Referenced):len(parent.Referenced)], child.Referenced...)
	out.UserProvided = parent.UserProvided || child.UserProvided
	out.Ignition, out.at = result.(types.Config), at
	return out.encoded()
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
