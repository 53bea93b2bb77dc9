// Package unitcheck finds in units what "systemd-analyze verify" of the
// target's systemd finds: sections and names that it does not know, values
// that it cannot read, units that it refuses, programs and units that are not
// there. Only programs of the host import it.
//
// items-257.txt is what "systemd --dump-configuration-items" of version 257
// prints: for each section its names and the kind of their values. The rules
// for whole units are those of systemd.service(5), systemd.timer(5) and so on.
// Values of kinds that are not listed in values.go and names.go are not looked
// at.
//
//	for _, f := range unitcheck.Text("a.service", text) { fmt.Println(f.Line, f.Message) }
package unitcheck

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"wellcar.dev/internal/format/unitfile"
)

//go:embed items-257.txt
var itemsText string

// Finding is something to tell about a line of a unit.
type Finding struct {
	Line    int // from 1; 0: the whole unit
	Message string
	Remedy  string
}

// items gives for each section and name the kind of its value.
var items = sync.OnceValue(func() map[string]map[string]string {
	out := map[string]map[string]string{}
	section := ""
	for line := range strings.Lines(itemsText) {
		line = strings.TrimSpace(line)
		if name, kind, ok := strings.Cut(line, "="); ok {
			out[section][name] = kind
		} else if line != "" {
			section = strings.Trim(line, "[]")
			out[section] = map[string]string{}
		}
	}
	return out
})

// The section of its own that a kind of unit has.
var own = map[string]string{
	".service": "Service", ".socket": "Socket", ".mount": "Mount", ".automount": "Automount", ".swap": "Swap",
	".timer": "Timer", ".path": "Path", ".slice": "Slice", ".scope": "Scope", ".target": "Target", ".device": "Device",
}

// Text checks the text of a unit, or of a drop-in of it, line by line.
func Text(unit, text string) []Finding {
	var out []Finding
	u := unitfile.Parse(text)
	for _, m := range u.Mistakes {
		out = append(out, Finding{m.Line, m.Message, "write [Section] lines and Name=value lines"})
	}
	sections := []string{"Unit", "Install"}
	if s := own[path.Ext(unit)]; s != "" {
		sections = append(sections, s)
	}
	for _, s := range u.Sections {
		if !slices.Contains(sections, s.Name) && !strings.HasPrefix(s.Name, "X-") {
			out = append(out, Finding{s.Line, fmt.Sprintf("the section [%s] is not known in a %s unit, so it is ignored", s.Name, strings.TrimPrefix(path.Ext(unit), ".")),
				"use one of [" + strings.Join(sections, "], [") + "]"})
		}
	}
	for _, a := range u.Assignments {
		if slices.Contains(sections, a.Section) && !strings.HasPrefix(a.Name, "X-") {
			out = append(out, assignment(a)...)
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return a.Line - b.Line })
	return out
}

func assignment(a unitfile.Assignment) []Finding {
	kind, known := items()[a.Section][a.Name]
	if !known {
		return []Finding{{a.Line, fmt.Sprintf("%s is not known in section [%s], so it is ignored", a.Name, a.Section), elsewhere(a)}}
	}
	if a.Value == "" {
		return nil // resets what was given before
	}
	switch {
	case kind == execKind:
		return command(a)
	case a.Name == "OnCalendar" && !strings.Contains(a.Value, "%") && calendarFault(a.Value):
		return []Finding{{a.Line, fmt.Sprintf("OnCalendar has a value that cannot be read, %q", a.Value), "write daily, Mon..Fri 04:00 or *-*-01 04:00:00; systemd-analyze calendar tries it"}}
	}
	wanted := valueFault(kind, a.Value)
	if wanted == "" {
		wanted = nameFault(kind, a.Name, a.Value)
	}
	if wanted != "" {
		return []Finding{{a.Line, fmt.Sprintf("%s has a value that cannot be read, %q", a.Name, a.Value), "write " + wanted}}
	}
	return nil
}

// elsewhere names the section or the spelling that was meant, as far as it
// can be told.
func elsewhere(a unitfile.Assignment) string {
	for _, section := range []string{"Unit", "Service", "Install", "Socket", "Timer", "Mount", "Path"} {
		for name := range items()[section] {
			switch {
			case section == a.Section && strings.EqualFold(name, a.Name):
				return "write " + name
			case section != a.Section && name == a.Name:
				return fmt.Sprintf("move it to [%s]", section)
			}
		}
	}
	if name := meant(a.Section, a.Name); name != "" {
		return "write " + name
	}
	return "check its spelling; names of your own begin with X-"
}
