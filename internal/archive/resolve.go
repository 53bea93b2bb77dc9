package archive

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Picks is the result of resolving.
type Picks struct {
	Groups    map[string][]*Package // sorted by name
	Conflicts []string              // packages of one group that conflict: "image: chrony conflicts with ..."
}

// Resolve finds the packages that each group wants, and all that they depend
// on. A wanted word is a relation as in a control file: "docker.io",
// "openssl (>= 3.5)", "awk | mawk". Groups do not influence each other.
//
// Of alternatives, one that is chosen anyway wins, else the first that exists
// and is not in drop. Names in drop are never chosen; what only they could
// satisfy counts as satisfied. Recommends are ignored, and essential packages
// are not added by themselves. All that cannot be satisfied is reported at
// once, each with the chain of packages that led to it.
func Resolve(index *Index, want map[string][]string, drop []string) (Picks, error) {
	picks := Picks{Groups: map[string][]*Package{}}
	dropped := map[string]bool{}
	for _, name := range drop {
		dropped[name] = true
	}
	var errs []error
	for _, group := range slices.Sorted(maps.Keys(want)) {
		r := &resolver{index: index, dropped: dropped, chosen: map[string]*Package{}, parent: map[string]string{}}
		errs = append(errs, r.run(want[group])...)
		picks.Groups[group] = slices.SortedFunc(maps.Values(r.chosen), func(a, b *Package) int { return cmp.Compare(a.Name, b.Name) })
		conflicts, err := r.conflicts(picks.Groups[group])
		if err != nil {
			errs = append(errs, err)
		}
		for _, text := range conflicts {
			picks.Conflicts = append(picks.Conflicts, group+": "+text)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Picks{}, err
	}
	return picks, nil
}

type resolver struct {
	index    *Index
	dropped  map[string]bool
	chosen   map[string]*Package
	parent   map[string]string // who asked first for a chosen package; "" for a wanted one
	queue    []*Package        // chosen, dependencies not yet read
	deferred []need            // needs with a choice, to be decided when no others are left
}

// A need is a clause and the package that states it.
type need struct {
	from string // "" for a wanted word
	what clause
}

// run resolves one group. Needs without a choice come first, so that a choice
// does not depend on the order in which packages are looked at.
func (r *resolver) run(wanted []string) []error {
	var errs []error
	wanted = slices.Clone(wanted)
	slices.Sort(wanted)
	for _, word := range wanted {
		if r.dropped[strings.TrimSpace(word)] {
			errs = append(errs, fmt.Errorf("resolving %s: it is both wanted and dropped", word))
			continue
		}
		errs = append(errs, r.needs("", word)...)
	}
	for len(r.queue) > 0 || len(r.deferred) > 0 {
		if len(r.queue) > 0 {
			p := r.queue[0]
			r.queue = r.queue[1:]
			errs = append(errs, r.needs(p.Name, p.PreDepends)...)
			errs = append(errs, r.needs(p.Name, p.Depends)...)
			continue
		}
		n := r.deferred[0]
		r.deferred = r.deferred[1:]
		if err := r.satisfy(n, true); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// needs satisfies the clauses of one field.
func (r *resolver) needs(from, field string) []error {
	clauses, err := parseRelations(field)
	if err != nil {
		return []error{fmt.Errorf("resolving %s: %w", r.chain(from), err)}
	}
	var errs []error
	for _, c := range clauses {
		if err := r.satisfy(need{from, c}, false); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// satisfy chooses a package for a need, or defers it if there is a choice.
func (r *resolver) satisfy(n need, decide bool) error {
	var open []*Package
	dropped := false
	for _, alternative := range n.what {
		found, err := r.index.candidates(alternative)
		if err != nil {
			return fmt.Errorf("resolving %s: %w", r.chain(n.from), err)
		}
		dropped = dropped || r.dropped[alternative.name]
		for _, p := range found {
			switch {
			case r.chosen[p.Name] != nil:
				return nil
			case r.dropped[p.Name]:
				dropped = true
			case !slices.Contains(open, p):
				open = append(open, p)
			}
		}
	}
	switch {
	case len(open) == 1 || len(open) > 1 && decide:
		r.choose(open[0], n.from)
	case len(open) > 1:
		r.deferred = append(r.deferred, n)
	case !dropped:
		return fmt.Errorf("resolving %s: nothing provides %s%s", r.chain(n.from), n.what, r.hint(n.what))
	}
	return nil
}

func (r *resolver) choose(p *Package, from string) {
	r.chosen[p.Name] = p
	r.parent[p.Name] = from
	r.queue = append(r.queue, p)
}

// chain shows why a package is there: "docker.io -> containerd -> runc".
func (r *resolver) chain(name string) string {
	if name == "" {
		return "the wanted packages"
	}
	var names []string
	for ; name != ""; name = r.parent[name] {
		names = append(names, name)
	}
	slices.Reverse(names)
	return strings.Join(names, " -> ")
}

// hint shows the versions there are of what is needed.
func (r *resolver) hint(c clause) string {
	var have []string
	for _, alternative := range c {
		if p := r.index.packages[alternative.name]; p != nil {
			have = append(have, p.Name+" is "+p.Version)
		}
	}
	if have == nil {
		return ""
	}
	return " (" + strings.Join(have, ", ") + ")"
}

// conflicts lists the chosen packages that state that they do not go together.
func (r *resolver) conflicts(chosen []*Package) ([]string, error) {
	var out []string
	for _, p := range chosen {
		for _, field := range []struct{ verb, text string }{{"conflicts with", p.Conflicts}, {"breaks", p.Breaks}} {
			clauses, err := parseRelations(field.text)
			if err != nil {
				return nil, fmt.Errorf("resolving %s: reading what it %s: %w", r.chain(p.Name), field.verb, err)
			}
			for _, c := range clauses {
				found, err := r.index.candidates(c[0])
				if err != nil {
					return nil, fmt.Errorf("resolving %s: %w", r.chain(p.Name), err)
				}
				for _, other := range found {
					if other != p && r.chosen[other.Name] == other {
						out = append(out, fmt.Sprintf("%s %s %s (it states %q)", p.Name, field.verb, other.Name, c))
					}
				}
			}
		}
	}
	return out, nil
}
