package unitcheck

import (
	"fmt"
	"path"
	"strings"

	"wellcar.dev/internal/format/unitfile"
)

// Machine tells what a machine has; unknown answers are true.
type Machine struct {
	File func(name string) bool // an absolute path
	Unit func(name string) bool
}

// Where programs without a folder are looked for.
var searchPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"}

// References checks the programs that a unit runs and the units that it cannot
// do without.
func References(text string, m Machine) []Finding {
	var out []Finding
	for _, a := range unitfile.Parse(text).Assignments {
		switch {
		case items()[a.Section][a.Name] == execKind:
			out = append(out, m.program(a)...)
		case a.Section == "Unit" && (a.Name == "Requires" || a.Name == "Requisite" || a.Name == "BindsTo"):
			for _, name := range strings.Fields(a.Value) {
				if isUnit(name) && !strings.Contains(name, "%") && path.Ext(name) != ".device" && !m.Unit(name) {
					out = append(out, Finding{a.Line, fmt.Sprintf("%s=%s: there is no such unit, so this one cannot start", a.Name, name), "correct the name, or write Wants="})
				}
			}
		}
	}
	return out
}

func (m Machine) program(a unitfile.Assignment) []Finding {
	word, _, _ := cutWord(a.Value)
	name := strings.TrimLeft(word, execPrefixes)
	optional := strings.Contains(word[:len(word)-len(name)], "-")
	if name == "" || optional || strings.ContainsAny(name, `%$\`) {
		return nil
	}
	if !path.IsAbs(name) && strings.Contains(name, "/") {
		return nil // Text tells it
	}
	if !path.IsAbs(name) {
		for _, dir := range searchPath {
			if m.File(path.Join(dir, name)) {
				return nil
			}
		}
		return []Finding{{a.Line, fmt.Sprintf("%s: there is no program %s in the image", a.Name, name), "give its whole path, or bring it with this config"}}
	}
	if !m.File(name) {
		return []Finding{{a.Line, fmt.Sprintf("%s: there is no program %s in the image or in this config", a.Name, name), "correct the path, or bring the program with this config"}}
	}
	return nil
}

// Activates checks that the unit which a timer, a path unit or a socket starts
// is there: texts are its own and those of its drop-ins.
func Activates(name string, m Machine, texts ...string) []Finding {
	w := join(name, texts)
	key, started := "", strings.TrimSuffix(name, path.Ext(name))+".service"
	switch path.Ext(name) {
	case ".timer":
		key = "Timer.Unit"
	case ".path":
		key = "Path.Unit"
	case ".socket":
		key = "Socket.Service"
		if w.yes("Socket.Accept") {
			started = strings.TrimSuffix(name, path.Ext(name)) + "@.service"
		}
	default:
		return nil
	}
	given, line := w.last(key)
	if given != "" {
		started = given
	}
	if strings.Contains(started, "%") || strings.Contains(started, "@@") || m.Unit(started) {
		return nil
	}
	return []Finding{{line, fmt.Sprintf("it starts %s, and neither this config nor the image has that", started), "add the unit, or name another with " + key[strings.IndexByte(key, '.')+1:] + "="}}
}
