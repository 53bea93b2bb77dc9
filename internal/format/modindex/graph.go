package modindex

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"wellcar.dev/internal/format/kmodinfo"
)

// graph is the modules in the order of the indexes, and who needs whom.
type graph struct {
	mods   []node
	owners map[string]int // module by exported symbol
}

type node struct {
	path, name string
	info       kmodinfo.Info
	needs      []int // modules that it needs directly, in the order of rank
	rank       int   // place in a topological order, users first
}

func newGraph(mods []Module, order []byte) (*graph, error) {
	g := &graph{owners: map[string]int{}}
	for _, m := range mods {
		g.mods = append(g.mods, node{path: m.Path, name: Name(m.Path), info: m.Info})
	}
	g.sort(order)
	byName := map[string]int{}
	for i, m := range g.mods {
		if first, twice := byName[m.name]; twice {
			return nil, fmt.Errorf("%s and %s are the same module", g.mods[first].path, m.path)
		}
		byName[m.name] = i
		for _, symbol := range m.info.Exports {
			g.owners[symbol] = i
		}
	}
	for i := range g.mods {
		g.mods[i].needs = g.direct(i, byName)
	}
	return g, g.rank()
}

// sort puts the modules in the order of modules.order, which is the order
// that modprobe tries them in for one alias; others follow by path.
func (g *graph) sort(order []byte) {
	place := map[string]int{}
	for line := range strings.Lines(string(order)) {
		line = strings.TrimSpace(line)
		if _, twice := place[line]; !twice {
			place[line] = len(place)
		}
	}
	at := func(m node) int {
		if i, ok := place[uncompressed(m.path)]; ok {
			return i
		}
		return math.MaxInt
	}
	slices.SortFunc(g.mods, func(a, b node) int {
		return cmp.Or(cmp.Compare(at(a), at(b)), strings.Compare(a.path, b.path))
	})
}

func uncompressed(file string) string {
	if i := strings.LastIndex(file, ".ko."); i >= 0 {
		return file[:i+len(".ko")]
	}
	return file
}

// direct finds what a module needs by the symbols that it lacks, or, if its
// symbol table was stripped, by what it declares.
func (g *graph) direct(i int, byName map[string]int) []int {
	var needs []int
	add := func(d int, ok bool) {
		if ok && d != i && !slices.Contains(needs, d) {
			needs = append(needs, d)
		}
	}
	for _, symbol := range g.mods[i].info.Undefined {
		d, ok := g.owners[symbol]
		add(d, ok)
	}
	if len(g.mods[i].info.Undefined) == 0 {
		for _, name := range g.mods[i].info.Depends {
			d, ok := byName[strings.ReplaceAll(name, "-", "_")]
			add(d, ok)
		}
	}
	return needs
}

// rank orders the modules topologically, users first, with a stack of those
// that no user waits for, and sorts the direct needs by it.
func (g *graph) rank() error {
	users := make([]int, len(g.mods))
	for _, m := range g.mods {
		for _, d := range m.needs {
			users[d]++
		}
	}
	var free []int
	for i, n := range users {
		if n == 0 {
			free = append(free, i)
		}
	}
	ranked := 0
	for ; len(free) > 0; ranked++ {
		i := free[len(free)-1]
		free = free[:len(free)-1]
		g.mods[i].rank = ranked
		for _, d := range g.mods[i].needs {
			if users[d]--; users[d] == 0 {
				free = append(free, d)
			}
		}
	}
	if ranked < len(g.mods) {
		return g.cycle(users)
	}
	for i := range g.mods {
		slices.SortFunc(g.mods[i].needs, g.byRank)
	}
	return nil
}

func (g *graph) byRank(a, b int) int { return cmp.Compare(g.mods[a].rank, g.mods[b].rank) }

func (g *graph) cycle(users []int) error {
	var names []string
	for i, n := range users {
		if n > 0 {
			names = append(names, g.mods[i].name)
		}
	}
	return fmt.Errorf("modules need each other in a circle, among them %s", strings.Join(names[:min(len(names), 8)], ", "))
}

// allDeps returns everything that a module needs, directly or not, by rank.
func (g *graph) allDeps(i int) []int {
	all := slices.Clone(g.mods[i].needs)
	seen := map[int]bool{}
	for _, d := range all {
		seen[d] = true
	}
	for at := 0; at < len(all); at++ {
		for _, d := range g.mods[all[at]].needs {
			if !seen[d] {
				seen[d] = true
				all = append(all, d)
			}
		}
	}
	slices.SortFunc(all, g.byRank)
	return all
}
