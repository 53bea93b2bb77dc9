// Package modindex makes the index files that modprobe and udev find kernel
// modules by: modules.dep, modules.alias, modules.symbols, modules.softdep,
// modules.weakdep, modules.devname, and the binary forms of them and of
// modules.builtin (modules.dep(5); the binary form is described at writeTrie).
//
// The result is what depmod makes of the same modules, byte for byte, except
// modules.symbols, which depmod leaves in the order of a hash table and we
// sort by name. There is no depmod.d configuration: two modules of one name
// are an error.
package modindex

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"wellcar.dev/internal/format/kmodinfo"
)

// Module is one module file and what it declares.
type Module struct {
	Path string // relative to lib/modules/VERSION: "kernel/fs/ext4/ext4.ko"
	Info kmodinfo.Info
}

// Build makes the index files by name. order, builtin and builtinModinfo are
// the contents of modules.order, modules.builtin and modules.builtin.modinfo
// of the kernel; the indexes of a file that is nil are left out. The order of
// mods does not matter.
func Build(mods []Module, order, builtin, builtinModinfo []byte) (map[string][]byte, error) {
	g, err := newGraph(mods, order)
	if err != nil {
		return nil, fmt.Errorf("indexing kernel modules: %w", err)
	}
	files := map[string][]byte{}
	files["modules.dep"], files["modules.dep.bin"] = g.deps()
	files["modules.alias"], files["modules.alias.bin"] = g.aliases()
	files["modules.symbols"], files["modules.symbols.bin"] = g.symbolAliases()
	files["modules.softdep"] = g.lines("# Soft dependencies extracted from modules themselves.\n", "softdep", func(i kmodinfo.Info) []string { return i.Softdeps })
	files["modules.weakdep"] = g.lines("# Weak dependencies extracted from modules themselves.\n", "weakdep", func(i kmodinfo.Info) []string { return i.Weakdeps })
	files["modules.devname"] = g.devnames()
	if builtin != nil {
		files["modules.builtin.bin"] = builtinIndex(builtin)
	}
	if builtinModinfo != nil {
		files["modules.builtin.alias.bin"] = builtinAliases(builtinModinfo)
	}
	return files, nil
}

// Name is the kernel's name of the module in a file: "snd-hda-intel.ko.xz" is
// snd_hda_intel.
func Name(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// deps lists after each module all that it needs, directly or not. A module
// comes before what it needs, so modprobe loads from the end.
func (g *graph) deps() (text, index []byte) {
	var b bytes.Buffer
	var keys []key
	for i, m := range g.mods {
		line := m.path + ":"
		for _, d := range g.allDeps(i) {
			line += " " + g.mods[d].path
		}
		b.WriteString(line + "\n")
		keys = append(keys, key{m.name, line, i})
	}
	return b.Bytes(), writeTrie(keys)
}

func (g *graph) aliases() (text, index []byte) {
	var b bytes.Buffer
	b.WriteString("# Aliases extracted from modules themselves.\n")
	var keys []key
	for i, m := range g.mods {
		for _, alias := range m.info.Aliases {
			fmt.Fprintf(&b, "alias %s %s\n", alias, m.name)
			if name, ok := normalize(alias); ok {
				keys = append(keys, key{name, m.name, i})
			}
		}
	}
	return b.Bytes(), writeTrie(keys)
}

func (g *graph) symbolAliases() (text, index []byte) {
	names := make([]string, 0, len(g.owners))
	for name := range g.owners {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString("# Aliases for symbols, used by symbol_request().\n")
	var keys []key
	for _, name := range names {
		owner := g.owners[name]
		fmt.Fprintf(&b, "alias symbol:%s %s\n", name, g.mods[owner].name)
		keys = append(keys, key{"symbol:" + name, g.mods[owner].name, owner})
	}
	return b.Bytes(), writeTrie(keys)
}

func (g *graph) lines(head, word string, values func(kmodinfo.Info) []string) []byte {
	b := bytes.NewBufferString(head)
	for _, m := range g.mods {
		for _, v := range values(m.info) {
			fmt.Fprintf(b, "%s %s %s\n", word, m.name, v)
		}
	}
	return b.Bytes()
}

// devnames lists the modules that a device node can load: those with an alias
// "devname:" and one that gives the device number.
func (g *graph) devnames() []byte {
	var b bytes.Buffer
	for _, m := range g.mods {
		name, number := devname(m.info.Aliases)
		if name == "" || number == "" {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("# Device nodes to trigger on-demand module loading.\n")
		}
		fmt.Fprintf(&b, "%s %s %s\n", m.name, name, number)
	}
	return b.Bytes()
}

func devname(aliases []string) (name, number string) {
	for _, alias := range aliases {
		var major, minor uint
		if s, ok := strings.CutPrefix(alias, "devname:"); ok {
			name = s
		} else if n, _ := fmt.Sscanf(alias, "char-major-%d-%d", &major, &minor); n == 2 {
			number = fmt.Sprintf("c%d:%d", major, minor)
		} else if n, _ := fmt.Sscanf(alias, "block-major-%d-%d", &major, &minor); n == 2 {
			number = fmt.Sprintf("b%d:%d", major, minor)
		}
		if name != "" && number != "" {
			return name, number
		}
	}
	return name, number
}

func builtinIndex(builtin []byte) []byte {
	var keys []key
	for line := range strings.Lines(string(builtin)) {
		if line = strings.TrimSpace(line); line != "" {
			keys = append(keys, key{name: Name(line)})
		}
	}
	return writeTrie(keys)
}

// builtinAliases reads "module.key=value" strings, each ended by a zero byte.
func builtinAliases(modinfo []byte) []byte {
	var keys []key
	for entry := range strings.SplitSeq(string(modinfo), "\x00") {
		module, rest, _ := strings.Cut(entry, ".")
		alias, found := strings.CutPrefix(rest, "alias=")
		if !found || alias == "" {
			continue
		}
		if name, ok := normalize(alias); ok {
			keys = append(keys, key{name: name, value: module})
		}
	}
	return writeTrie(keys)
}

// normalize writes "-" as "_" outside of brackets, as modprobe does before it
// searches. An alias with unmatched brackets or bytes beyond ASCII is not indexed.
func normalize(alias string) (string, bool) {
	out := []byte(alias)
	inside := false
	for i, c := range out {
		switch {
		case c == '[':
			inside = true
		case c == ']' && !inside, c >= 0x80:
			return "", false
		case c == ']':
			inside = false
		case c == '-' && !inside:
			out[i] = '_'
		}
	}
	return string(out), !inside
}
