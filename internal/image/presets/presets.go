// Package presets enables units at build time as `systemctl preset-all` does
// on a machine: preset files decide which units are enabled, and the
// [Install] sections of these say which links that means.
//
// Spec: systemd.preset(5), systemd.unit(5) "[INSTALL] SECTION OPTIONS".
// Limits: no specifiers that depend on a machine (host name, user); unit
// paths are /etc and /usr/lib of the image only.
package presets

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/view"
	"wellcar.dev/internal/layout"
)

// Scope is the manager that the units are for.
type Scope string

// The two scopes.
const (
	System Scope = "system"
	User   Scope = "user"
)

// Link is one link that enables a unit.
type Link struct {
	Path   string // in the tree
	Target string
	Unit   string // which unit it enables
}

// Rule is one line of a preset file.
type Rule struct {
	Action    string // enable, disable or ignore
	Pattern   string
	Instances []string // of a template that is enabled
	File      string
	Line      int
}

// Apply returns the links for all units of a scope, sorted by path. Units
// without an [Install] section, masked units and aliases are passed over.
func Apply(tree *fstree.Tree, scope Scope) ([]Link, error) {
	e := &enabler{tree: tree, scope: scope, units: map[string]*fstree.Node{}, links: map[string]Link{}, seen: map[string]bool{}}
	dirs := e.collect()
	rules, err := readRules(dirs)
	if err != nil {
		return nil, fmt.Errorf("applying %s presets: %w", scope, err)
	}
	names := make([]string, 0, len(e.units))
	for n := range e.units {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, unit := range names {
		if err := e.preset(unit, rules); err != nil {
			return nil, fmt.Errorf("applying %s presets: %s: %w", scope, unit, err)
		}
	}
	out := make([]Link, 0, len(e.links))
	for _, l := range e.links {
		out = append(out, l)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out, nil
}

type enabler struct {
	tree    *fstree.Tree
	scope   Scope
	units   map[string]*fstree.Node   // unit files by name; /etc wins
	dropins map[string][]*fstree.Node // by unit name, in the order of application
	links   map[string]Link           // by path
	seen    map[string]bool           // units being enabled, against loops of Also=
}

// collect finds the unit files and drop-ins, and returns the preset files.
func (e *enabler) collect() map[string]*fstree.Node {
	presets := map[string]*fstree.Node{}
	dropins := map[string]map[string]*fstree.Node{}
	nodes := e.tree.Nodes()
	for _, base := range []string{"usr/lib/systemd/", layout.ShippedEtc + "/systemd/"} { // the later one wins
		units, presetDir := base+string(e.scope)+"/", base+string(e.scope)+"-preset/"
		for _, n := range nodes {
			if rel, ok := strings.CutPrefix(n.Path, presetDir); ok && path.Ext(rel) == ".preset" {
				presets[rel] = n
				continue
			}
			rel, ok := strings.CutPrefix(n.Path, units)
			if !ok || n.Kind == fstree.Dir {
				continue
			}
			if dir, file, below := strings.Cut(rel, "/"); !below {
				e.units[rel] = n
			} else if unit, isDropin := strings.CutSuffix(dir, ".d"); isDropin && path.Ext(file) == ".conf" {
				if dropins[unit] == nil {
					dropins[unit] = map[string]*fstree.Node{}
				}
				dropins[unit][file] = n
			}
		}
	}
	e.dropins = map[string][]*fstree.Node{}
	for unit, files := range dropins {
		e.dropins[unit] = sortedNodes(files)
	}
	return presets
}

func sortedNodes(files map[string]*fstree.Node) []*fstree.Node {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	out := make([]*fstree.Node, 0, len(names))
	for _, n := range names {
		out = append(out, files[n])
	}
	return out
}

func readRules(files map[string]*fstree.Node) ([]Rule, error) {
	var rules []Rule
	for _, n := range sortedNodes(files) {
		if n.Kind != fstree.File {
			continue // a link to /dev/null switches a file off
		}
		text, err := n.Blob.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Path, err)
		}
		more, err := ParseRules(n.Path, string(text))
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	return rules, nil
}

// ParseRules reads one preset file.
func ParseRules(file, text string) ([]Rule, error) {
	var rules []Rule
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") || strings.HasPrefix(words[0], ";") {
			continue
		}
		if a := words[0]; a != "enable" && a != "disable" && a != "ignore" || len(words) < 2 {
			return nil, fmt.Errorf("%s:%d: %q is not enable, disable or ignore and a unit", file, i+1, line)
		}
		if _, err := path.Match(words[1], ""); err != nil {
			return nil, fmt.Errorf("%s:%d: pattern %q: %w", file, i+1, words[1], err)
		}
		rules = append(rules, Rule{words[0], words[1], words[2:], file, i + 1})
	}
	return rules, nil
}

// Decide returns the first rule for a unit; without one it is enabled.
func Decide(rules []Rule, unit string) Rule {
	for _, r := range rules {
		if ok, _ := path.Match(r.Pattern, unit); ok {
			return r
		}
	}
	return Rule{Action: "enable"}
}

func (e *enabler) preset(unit string, rules []Rule) error {
	if n := e.units[unit]; n.Kind != fstree.File {
		return nil // an alias or a mask
	}
	rule := Decide(rules, unit)
	if rule.Action != "enable" {
		return nil
	}
	if len(rule.Instances) == 0 {
		return e.enable(unit, "")
	}
	for _, instance := range rule.Instances {
		if err := e.enable(unit, instance); err != nil {
			return err
		}
	}
	return nil
}

// file finds the unit file of a name: its own, else its template's.
func (e *enabler) file(unit string) *fstree.Node {
	if n := e.units[unit]; n != nil {
		return n
	}
	template := splitName(unit)
	template.instance = ""
	return e.units[template.String()]
}

// enable makes the links of a unit and of what it names in Also=. A template
// is enabled for instance, or else for its DefaultInstance.
func (e *enabler) enable(unit, instance string) error {
	if e.seen[unit+"\x00"+instance] {
		return nil
	}
	e.seen[unit+"\x00"+instance] = true
	file := e.file(unit)
	if file == nil || file.Kind != fstree.File {
		return nil
	}
	install, err := e.install(unit, file)
	if err != nil || install.empty() {
		return err
	}
	n := splitName(unit)
	if n.template() {
		if n.instance = instance; instance == "" {
			n.instance = install.DefaultInstance
		}
	}
	e.link(n, file, install)
	for _, other := range install.Also {
		if err := e.enable(n.expand(other), ""); err != nil {
			return err
		}
	}
	return nil
}

func (e *enabler) install(unit string, file *fstree.Node) (Install, error) {
	var install Install
	for _, n := range append([]*fstree.Node{file}, e.dropins[unit]...) {
		if n.Kind != fstree.File {
			continue
		}
		text, err := n.Blob.Bytes()
		if err != nil {
			return Install{}, fmt.Errorf("%s: %w", n.Path, err)
		}
		install.add(string(text))
	}
	return install, nil
}

func (e *enabler) link(n name, file *fstree.Node, install Install) {
	target := "/" + view.OnMachine(file.Path)
	add := func(rel string) {
		p := layout.ShippedEtc + "/systemd/" + string(e.scope) + "/" + rel
		e.links[p] = Link{p, target, n.String()}
	}
	for _, alias := range install.Alias {
		if alias = n.expand(alias); alias != path.Base(file.Path) {
			add(alias)
		}
	}
	if n.template() {
		return // a template without an instance cannot be wanted
	}
	for _, kind := range []struct {
		suffix string
		units  []string
	}{{".wants", install.WantedBy}, {".requires", install.RequiredBy}, {".upholds", install.UpheldBy}} {
		for _, by := range kind.units {
			add(n.expand(by) + kind.suffix + "/" + n.String())
		}
	}
}
