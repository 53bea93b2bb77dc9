package payload

import (
	"path"
	"regexp"
)

// pairs finds the older version of a file.
type pairs struct {
	byHash map[[32]byte]extent
	byPath map[string]extent
	byKey  map[string][]extent
	gaps   []extent
}

func newPairs(old []extent) pairs {
	p := pairs{byHash: map[[32]byte]extent{}, byPath: map[string]extent{}, byKey: map[string][]extent{}}
	for _, e := range old {
		if e.path == "" {
			p.gaps = append(p.gaps, e)
			continue
		}
		if _, known := p.byHash[e.hash]; !known {
			p.byHash[e.hash] = e
		}
		p.byPath[e.path] = e
		p.byKey[key(e.path)] = append(p.byKey[key(e.path)], e)
	}
	return p
}

var (
	moduleDir = regexp.MustCompile(`^lib/modules/[^/]+/`)
	numbers   = regexp.MustCompile(`[0-9]+([.-][0-9]+)*`)
)

// key is a path without the version of the kernel and without the numbers in
// the file's name.
func key(name string) string {
	dir, base := path.Split(moduleDir.ReplaceAllString(name, "lib/modules/*/"))
	return dir + numbers.ReplaceAllString(base, "#")
}

// older returns the extent that a new one is probably made from. number is
// that of a gap.
func (p pairs) older(e extent, number int) (old extent, equal, ok bool) {
	if e.path == "" {
		if number < len(p.gaps) {
			return p.gaps[number], false, true
		}
		return extent{}, false, false
	}
	if old, ok := p.byHash[e.hash]; ok && old.size == e.size {
		return old, true, true
	}
	if old, ok := p.byPath[e.path]; ok {
		return old, false, true
	}
	for _, c := range p.byKey[key(e.path)] {
		if !ok || distance(c.size, e.size) < distance(old.size, e.size) {
			old, ok = c, true
		}
	}
	return old, false, ok
}

func distance(a, b int64) int64 { return max(a, b) - min(a, b) }
