package check

import (
	"fmt"
	"path"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/presets"
	"wellcar.dev/internal/layout"
)

var unitDirs = []string{"usr/lib/systemd/system/", "usr/lib/systemd/user/", layout.ShippedEtc + "/systemd/system/", layout.ShippedEtc + "/systemd/user/"}

// units checks the commands of all unit files and drop-ins.
func (c *checker) units() error {
	for _, n := range c.nodes {
		if n.Kind != fstree.File || !isUnit(n.Path) {
			continue
		}
		text, err := n.Blob.Bytes()
		if err != nil {
			return fmt.Errorf("checking the unit %s: %w", n.Path, err)
		}
		settings := presets.ParseUnit(string(text))
		conditions := executables(settings)
		for _, s := range settings {
			if program := commandOf(s); program != "" && !conditions[program] && !c.program(program) {
				c.fault(n, "line %d: %s= runs %s, which does not exist", s.Line, s.Key, program)
			}
		}
	}
	return nil
}

func isUnit(name string) bool {
	for _, dir := range unitDirs {
		if strings.HasPrefix(name, dir) {
			ext := path.Ext(name)
			return ext == ".service" || ext == ".socket" || ext == ".mount" || ext == ".swap" || ext == ".conf"
		}
	}
	return false
}

// executables are the programs that a unit itself asks to be there.
func executables(settings []presets.Setting) map[string]bool {
	out := map[string]bool{}
	for _, s := range settings {
		if s.Key == "ConditionFileIsExecutable" || s.Key == "ConditionPathExists" {
			out[strings.TrimLeft(s.Value, "|!")] = true
		}
	}
	return out
}

// commandOf returns the program of an Exec setting, or "" if there is none
// that has to exist: it may fail ("-"), or is only known at run time.
func commandOf(s presets.Setting) string {
	if !strings.HasPrefix(s.Key, "Exec") || s.Key == "ExecSearchPath" || s.Key == "ExecPaths" || s.Value == "" {
		return ""
	}
	program := strings.Fields(s.Value)[0]
	rest := strings.TrimLeft(program, "@-:+!|")
	if strings.Contains(program[:len(program)-len(rest)], "-") || strings.ContainsAny(rest, "%$") {
		return ""
	}
	return strings.Trim(rest, `"'`)
}
