// Package modules chooses the kernel modules of the initrd and describes
// them to its PID 1: which are loaded always, which for a device, and what
// has to be loaded before each.
package modules

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"

	"wellcar.dev/internal/image/glob"
)

// Info is what a module says about itself.
type Info struct {
	Path     string   // below usr/lib/modules/VERSION: kernel/fs/erofs/erofs.ko
	Name     string   // as the kernel calls it, with "_"
	Depends  []string // names
	Softdeps []string // "pre: a b post: c"
	Aliases  []string
}

// Set is the choice for an initrd.
type Set struct {
	Modules []Info // all, sorted by name
	needs   map[string][]string
	always  []string
	drivers map[string]bool
}

// Name is the kernel's name for a module file or a name written with "-".
func Name(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
}

// Choose takes the modules named in always, those whose path is covered by
// drivers, and what these need. builtin are paths of modules.builtin: a name
// that is built in needs no file.
func Choose(all []Info, builtin []string, always []string, drivers glob.List) (Set, error) {
	c := chooser{byName: map[string]Info{}, byAlias: map[string][]string{}, builtin: map[string]bool{}, needs: map[string][]string{}}
	for _, m := range all {
		c.byName[m.Name] = m
		for _, a := range m.Aliases {
			if !strings.ContainsAny(a, ":*") {
				c.byAlias[a] = append(c.byAlias[a], m.Name)
			}
		}
	}
	for _, b := range builtin {
		c.builtin[Name(b)] = true
	}
	s := Set{drivers: map[string]bool{}}
	for _, name := range always {
		if name = Name(name); c.builtin[name] {
			continue
		}
		c.visit(name, "the recipe's initrd.modules", nil)
		s.always = append(s.always, name)
	}
	for _, m := range all {
		if drivers.Match(m.Path) {
			c.visit(m.Name, "the recipe's initrd.drivers", nil)
			s.drivers[m.Name] = true
		}
	}
	if err := errors.Join(c.faults...); err != nil {
		return Set{}, fmt.Errorf("choosing the initrd's modules: %w", err)
	}
	for name := range c.needs {
		s.Modules = append(s.Modules, c.byName[name])
	}
	sort.Slice(s.Modules, func(i, j int) bool { return s.Modules[i].Name < s.Modules[j].Name })
	s.needs = c.needs
	return s, nil
}

type chooser struct {
	byName  map[string]Info
	byAlias map[string][]string // names of the modules that declare an alias, in the order of paths
	builtin map[string]bool
	needs   map[string][]string // all that a chosen module needs, in load order
	faults  []error
}

// visit adds a module and returns what has to be loaded for it, itself last.
func (c *chooser) visit(name, wantedBy string, above []string) []string {
	if needs, done := c.needs[name]; done {
		return append(append([]string(nil), needs...), name)
	}
	m, ok := c.byName[name]
	if !ok {
		c.faults = append(c.faults, fmt.Errorf("module %s, wanted by %s, is not in the image", name, wantedBy))
		return nil
	}
	var needs []string
	seen := map[string]bool{}
	for _, dep := range append(c.soft(m), m.Depends...) {
		if dep = Name(dep); c.builtin[dep] || contains(above, dep) {
			continue
		}
		for _, n := range c.visit(dep, name, append(above, name)) {
			if !seen[n] {
				seen[n] = true
				needs = append(needs, n)
			}
		}
	}
	c.needs[name] = needs
	return append(append([]string(nil), needs...), name)
}

// soft returns the modules to load before m if they exist. A word of a soft
// dependency is a module's name or one of its aliases ("crc32c").
func (c *chooser) soft(m Info) []string {
	var out []string
	for _, line := range m.Softdeps {
		before := false
		for _, word := range strings.Fields(line) {
			if strings.HasSuffix(word, ":") {
				before = word == "pre:"
				continue
			}
			if !before {
				continue
			}
			if _, ok := c.byName[Name(word)]; ok {
				out = append(out, word)
			}
			out = append(out, c.byAlias[word]...)
		}
	}
	return out
}

func contains(list []string, name string) bool {
	for _, l := range list {
		if l == name {
			return true
		}
	}
	return false
}

// List is the text of the initrd's /modules.list. Only drivers have alias
// lines: what is there as a dependency alone is not loaded for a device.
func (s Set) List() []byte {
	var b bytes.Buffer
	b.WriteString("[modules]\n")
	for _, m := range s.Modules {
		fmt.Fprintf(&b, "%s:", m.Name)
		for _, n := range s.needs[m.Name] {
			b.WriteString(" " + n)
		}
		b.WriteByte('\n')
	}
	b.WriteString("[always]\n")
	for _, name := range s.always {
		b.WriteString(name + "\n")
	}
	b.WriteString("[alias]\n")
	for _, m := range s.Modules {
		for _, a := range m.Aliases {
			if s.drivers[m.Name] && strings.Contains(a, ":") {
				fmt.Fprintf(&b, "%s %s\n", a, m.Name)
			}
		}
	}
	return b.Bytes()
}

// Unmet returns a message for each module that needs one that is neither
// there nor built in.
func Unmet(all []Info, builtin []string) map[string]string {
	have := map[string]bool{}
	for _, m := range all {
		have[m.Name] = true
	}
	for _, b := range builtin {
		have[Name(b)] = true
	}
	out := map[string]string{}
	for _, m := range all {
		for _, dep := range m.Depends {
			if !have[Name(dep)] {
				out[m.Path] = fmt.Sprintf("needs the module %s, which is not in the image", dep)
			}
		}
	}
	return out
}
