package image

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Change is one difference between two builds.
type Change struct {
	Kind string // package, unit, file, option (of the kernel) or setting (of the build)
	Name string
	Old  string // "" if there was none
	New  string // "" if there is none
}

func (c Change) String() string {
	switch {
	case c.Old == "":
		return fmt.Sprintf("+ %s %s %s", c.Kind, c.Name, c.New)
	case c.New == "":
		return fmt.Sprintf("- %s %s %s", c.Kind, c.Name, c.Old)
	}
	return fmt.Sprintf("~ %s %s %s -> %s", c.Kind, c.Name, c.Old, c.New)
}

// State is what Diff compares of a build.
type State struct {
	Record  Record
	Files   map[string]string // path to the rest of its line in contents.txt
	Options map[string]string // kernel options by name; unset ones are "n"
}

// ReadState reads the folder of a build.
func ReadState(dir string) (State, error) {
	record, err := ReadRecord(dir)
	if err != nil {
		return State{}, err
	}
	list, err := os.ReadFile(filepath.Join(dir, ContentsFile))
	if err != nil {
		return State{}, fmt.Errorf("reading the build in %s: %w", dir, err)
	}
	config, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		return State{}, fmt.Errorf("reading the build in %s: %w", dir, err)
	}
	return State{record, parseContents(list), parseOptions(config)}, nil
}

// parseContents keeps of each line what a user would call the file's state:
// type, mode, owner, and a digest cut to what tells two apart.
func parseContents(data []byte) map[string]string {
	out := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "\t")
		f := strings.SplitN(line, " ", 6) // type mode owner size digest path
		if len(f) != 6 {
			continue
		}
		name, target, _ := strings.Cut(f[5], " -> ")
		switch f[0] {
		case "l":
			out[name] = "link to " + target
		case "f":
			out[name] = fmt.Sprintf("file %s %s %s bytes %.12s", f[1], f[2], f[3], f[4])
		default:
			out[name] = fmt.Sprintf("directory %s %s", f[1], f[2])
		}
	}
	return out
}

func parseOptions(config []byte) map[string]string {
	out := map[string]string{}
	for _, line := range strings.Split(string(config), "\n") {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(line, "# "), " is not set"); ok {
			out[name] = "n"
		} else if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "CONFIG_") {
			out[name] = value
		}
	}
	return out
}

// Diff lists what differs from a to b: settings, packages, kernel options,
// units, other files; each kind sorted by name. It only compares, so that it
// can be used on what was read long ago.
func Diff(a, b State) []Change {
	out := compare("setting", settings(a.Record), settings(b.Record))
	out = append(out, compare("package", versions(a.Record), versions(b.Record))...)
	out = append(out, compare("option", a.Options, b.Options)...)
	var units, files []Change
	for _, c := range compare("file", normal(a), normal(b)) {
		if isUnitPath(c.Name) {
			c.Kind = "unit"
			units = append(units, c)
			continue
		}
		files = append(files, c)
	}
	return append(append(out, units...), files...)
}

// normal are the files with the kernel's version taken out of their paths,
// so that a new kernel does not show as thousands of new files.
func normal(s State) map[string]string {
	out := make(map[string]string, len(s.Files))
	for name, v := range s.Files {
		out[strings.Replace(name, "lib/modules/"+s.Record.Kernel, "lib/modules/KERNEL", 1)] = v
	}
	return out
}

func settings(r Record) map[string]string {
	cmdline, _, _ := strings.Cut(r.Cmdline, " verity.usrhash=")
	out := map[string]string{"name": r.Name, "version": r.Version, "board": r.Board, "kernel": r.Kernel, "cmdline": cmdline}
	if r.Platform != "" {
		out["platform"] = r.Platform
	}
	if !r.Locked {
		out["locked"] = "no"
	}
	return out
}

func versions(r Record) map[string]string {
	out := map[string]string{}
	for _, p := range append(slices.Clone(r.Packages), r.Linked...) {
		out[p.Name+":"+p.Architecture] = p.Version
	}
	return out
}

func isUnitPath(name string) bool {
	dir := strings.TrimPrefix(name, "share/flatcar/etc/")
	dir = strings.TrimPrefix(dir, "lib/")
	return (strings.HasPrefix(dir, "systemd/system/") || strings.HasPrefix(dir, "systemd/user/")) && path.Base(name) != "."
}

func compare(kind string, a, b map[string]string) []Change {
	var out []Change
	for name, old := range a {
		if now := b[name]; now != old {
			out = append(out, Change{kind, name, old, now})
		}
	}
	for name, now := range b {
		if _, had := a[name]; !had {
			out = append(out, Change{kind, name, "", now})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
