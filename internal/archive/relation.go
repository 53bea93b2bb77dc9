package archive

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A relation names a package, with the versions that will do:
// "libc6 (>= 2.38)". https://www.debian.org/doc/debian-policy/ch-relationships.html
type relation struct {
	name    string
	op      string // <<, <=, =, >=, >>, or "" for any version
	version string
}

func (r relation) String() string {
	if r.op == "" {
		return r.name
	}
	return r.name + " (" + r.op + " " + r.version + ")"
}

// A clause is a list of alternatives, one of which is enough.
type clause []relation

func (c clause) String() string {
	words := make([]string, len(c))
	for i, r := range c {
		words[i] = r.String()
	}
	return strings.Join(words, " | ")
}

// parseRelations reads "a (>= 1), b | c, d:any".
func parseRelations(field string) ([]clause, error) {
	var out []clause
	for _, part := range strings.Split(field, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		var c clause
		for _, one := range strings.Split(part, "|") {
			r, err := parseRelation(one)
			if err != nil {
				return nil, err
			}
			c = append(c, r)
		}
		out = append(out, c)
	}
	return out, nil
}

func parseRelation(text string) (relation, error) {
	name, rest, versioned := strings.Cut(strings.TrimSpace(text), "(")
	name, _, _ = strings.Cut(strings.TrimSpace(name), ":") // :any and :native are us
	r := relation{name: name}
	if name == "" || strings.ContainsAny(name, " \t\n[]<>") {
		return r, fmt.Errorf("reading the relation %q: it names no package", text)
	}
	if !versioned {
		return r, nil
	}
	rest, closed := strings.CutSuffix(strings.TrimSpace(rest), ")")
	r.version = strings.TrimSpace(strings.TrimLeft(rest, "<>="))
	r.op = strings.TrimSpace(rest[:len(rest)-len(strings.TrimLeft(rest, "<>="))])
	switch r.op {
	case "<": // an old spelling
		r.op = "<="
	case ">":
		r.op = ">="
	case "<<", "<=", "=", ">=", ">>":
	default:
		closed = false
	}
	if !closed || r.version == "" {
		return r, fmt.Errorf("reading the relation %q: it has no version in brackets", text)
	}
	return r, nil
}

// accepts tells whether a version will do. "" is a provided name without a
// version, which only a relation without a version accepts.
func (r relation) accepts(version string) (bool, error) {
	if r.op == "" {
		return true, nil
	}
	if version == "" {
		return false, nil
	}
	order, err := compareVersions(version, r.version)
	if err != nil {
		return false, err
	}
	switch r.op {
	case "<<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case "=":
		return order == 0, nil
	case ">=":
		return order >= 0, nil
	default:
		return order > 0, nil
	}
}

// link reads what each package provides.
func (x *Index) link() error {
	x.provided = map[string][]provision{}
	for _, p := range x.packages {
		clauses, err := parseRelations(p.Provides)
		if err != nil {
			return fmt.Errorf("reading what %s provides: %w", p.Name, err)
		}
		for _, c := range clauses {
			x.provided[c[0].name] = append(x.provided[c[0].name], provision{by: p, version: c[0].version})
		}
	}
	for _, list := range x.provided {
		slices.SortFunc(list, func(a, b provision) int {
			return cmp.Or(cmp.Compare(rank(a.by), rank(b.by)), cmp.Compare(a.by.Name, b.by.Name), cmp.Compare(a.version, b.version))
		})
	}
	return nil
}

// rank orders the packages that provide one name: those of a base system first.
func rank(p *Package) int {
	i := slices.Index([]string{"required", "important", "standard", "optional"}, p.Priority)
	if i < 0 {
		return 4
	}
	return i
}

// candidates lists the packages that satisfy a relation: the one of that
// name, then those that provide it, in a fixed order.
func (x *Index) candidates(r relation) ([]*Package, error) {
	var out []*Package
	if p := x.packages[r.name]; p != nil {
		ok, err := r.accepts(p.Version)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, p)
		}
	}
	for _, v := range x.provided[r.name] {
		ok, err := r.accepts(v.version)
		if err != nil {
			return nil, err
		}
		if ok && !slices.Contains(out, v.by) {
			out = append(out, v.by)
		}
	}
	return out, nil
}
