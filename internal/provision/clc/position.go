package clc

import (
	"encoding/json"

	"github.com/flatcar/container-linux-config-transpiler/config/types"

	"wellcar.dev/internal/provision"
)

// positions says for each element of the Ignition config where it came from.
// Lists keep their order; what sections like update and docker make stands
// after the files and before the units of the user.
func positions(text provision.YAML, in types.Config, ignition []byte) provision.Positions {
	var root struct {
		Storage struct {
			Files []struct{ Path string }
		}
		Systemd struct {
			Units []struct{ Name string }
		}
	}
	var tree any
	json.Unmarshal(ignition, &root)
	json.Unmarshal(ignition, &tree)
	m := mapper{text: text, sections: sections(in), out: provision.Positions{}, made: map[string]string{}}
	for i := len(in.Storage.Files); i < len(root.Storage.Files); i++ {
		m.made[provision.Path{"storage", "files", i}.String()] = root.Storage.Files[i].Path
	}
	m.units = len(root.Systemd.Units) - len(in.Systemd.Units)
	for i := range m.units {
		m.made[provision.Path{"systemd", "units", i}.String()] = root.Systemd.Units[i].Name
	}
	m.walk(tree, nil)
	return m.out
}

// mapper finds the place of each element.
type mapper struct {
	text     provision.YAML
	sections map[string]string // name of what a section makes to the section
	made     map[string]string // element that a section made to its name
	units    int               // how many units sections made
	out      provision.Positions
}

func (m *mapper) walk(node any, at provision.Path) {
	if len(at) > 0 {
		m.out[at.String()] = m.place(at)
	}
	switch node := node.(type) {
	case map[string]any:
		for name, child := range node {
			m.walk(child, append(at[:len(at):len(at)], name))
		}
	case []any:
		for i, child := range node {
			m.walk(child, append(at[:len(at):len(at)], i))
		}
	}
}

func (m *mapper) place(at provision.Path) provision.Position {
	if len(at) >= 3 {
		if name, ok := m.made[at[:3].String()]; ok {
			return m.text.Key(provision.Path{m.sections[name]})
		}
	}
	return m.text.Position(m.source(at))
}

// source is the path in the YAML text of an element that the user wrote.
// Names in snake_case are found by the text itself.
func (m *mapper) source(at provision.Path) provision.Path {
	out := append(provision.Path{}, at...)
	if len(out) >= 3 && out[0] == "systemd" && out[1] == "units" {
		out[2] = out[2].(int) - m.units
	}
	if len(out) < 4 {
		return out
	}
	last := len(out) - 1
	switch {
	case out[last] == "sizeMiB", out[last] == "startMiB":
		out[last] = map[any]string{"sizeMiB": "size", "startMiB": "start"}[out[last]]
	case out[0] == "storage" && out[1] == "files" && out[3] == "contents" && len(out) > 4:
		return m.contents(out)
	}
	return out
}

// contents finds the one of local, inline and remote.url that was written.
func (m *mapper) contents(at provision.Path) provision.Path {
	base := append(at[:4:4], "remote")
	if at[4] != "source" {
		return append(base, at[4:]...)
	}
	for _, c := range []provision.Path{append(at[:4:4], "inline"), append(at[:4:4], "local"), append(base, "url")} {
		if m.text.Has(c) {
			return c
		}
	}
	return at[:4]
}
