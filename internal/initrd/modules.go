//go:build linux

package initrd

import (
	"fmt"
	"slices"
	"strings"

	"wellcar.dev/internal/format/modindex"
)

// ModuleList says which kernel modules the initrd has, what each needs first,
// which to load on every machine and which for a device.
//
// The text form, /modules.list, has a line per fact; `#` starts a comment:
//
//	virtio_blk:
//	dm_verity: dm_bufio dm_mod
//	[always]
//	dm_verity
//	[alias]
//	virtio:d00000002v* virtio_blk
//
// What a module needs is listed completely and in load order. In a name `-`
// and `_` are the same. A pattern is one of modules.alias: * ? and [a-z].
type ModuleList struct {
	needs   map[string][]string
	always  []string
	aliases map[string][]alias // by bus, the part before the colon
}

type alias struct{ pattern, module string }

// ParseModuleList reads the text form.
func ParseModuleList(text string) (ModuleList, error) {
	l := ModuleList{needs: map[string][]string{}, aliases: map[string][]alias{}}
	section := ""
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") && !strings.Contains(line, " ") {
			section = line
			continue
		}
		if err := l.add(section, line); err != nil {
			return ModuleList{}, fmt.Errorf("reading the module list, line %d: %w", n, err)
		}
	}
	return l, l.check()
}

func (l *ModuleList) add(section, line string) error {
	switch section {
	case "", "[modules]":
		name, needs, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("%q has no colon", line)
		}
		l.needs[moduleName(name)] = moduleNames(needs)
	case "[always]":
		l.always = append(l.always, moduleNames(line)...)
	case "[alias]":
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return fmt.Errorf("%q is not a pattern and a module", line)
		}
		bus, _, _ := strings.Cut(fields[0], ":")
		l.aliases[bus] = append(l.aliases[bus], alias{fields[0], moduleName(fields[1])})
	default:
		return fmt.Errorf("unknown section %s", section)
	}
	return nil
}

// check refuses what could not be loaded, or would wait for itself.
func (l ModuleList) check() error {
	for name, needs := range l.needs {
		for _, n := range needs {
			theirs, ok := l.needs[n]
			if !ok {
				return fmt.Errorf("reading the module list: %s needs %s, which is not there", name, n)
			}
			if n == name || slices.Contains(theirs, name) {
				return fmt.Errorf("reading the module list: %s and %s need each other", name, n)
			}
		}
	}
	for _, name := range l.always {
		if _, ok := l.needs[name]; !ok {
			return fmt.Errorf("reading the module list: %s is to be loaded always but is not there", name)
		}
	}
	return nil
}

// For returns the modules for a device with this modalias, blacklisted ones
// left out.
func (l ModuleList) For(modalias string, blacklist map[string]bool) []string {
	var names []string
	bus, _, _ := strings.Cut(modalias, ":")
	for _, a := range l.aliases[bus] {
		if !blacklist[a.module] && !slices.Contains(names, a.module) && modindex.Match(a.pattern, modalias) {
			names = append(names, a.module)
		}
	}
	return names
}

func moduleName(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "-", "_") }

func moduleNames(s string) []string {
	names := strings.Fields(s)
	for i := range names {
		names[i] = moduleName(names[i])
	}
	return names
}

// loader loads each module once, however often it is asked for, with what it
// needs before it. One at a time: what a load costs is mostly spent under the
// kernel's own locks and in stopping all processors, so that two at a time
// took a third longer on two emulated processors.
type loader struct {
	list   ModuleList
	params map[string]string
	load   func(name, params string) error
	failed func(name string, err error)
	begun  map[string]bool
}

func (l *loader) all(names []string) {
	for _, name := range names {
		l.one(name)
	}
}

func (l *loader) one(name string) {
	needs, ok := l.list.needs[name]
	if !ok || l.begun[name] {
		return // or built into the kernel, or not for the initrd
	}
	l.begun[name] = true
	l.all(needs)
	if err := l.load(name, l.params[name]); err != nil {
		l.failed(name, err)
	}
}
