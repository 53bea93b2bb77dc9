package presets

import (
	"path"
	"strings"
)

// Install is the [Install] section of a unit file, systemd.unit(5).
type Install struct {
	WantedBy, RequiredBy, UpheldBy []string
	Alias, Also                    []string
	DefaultInstance                string
}

func (i Install) empty() bool {
	return len(i.WantedBy)+len(i.RequiredBy)+len(i.UpheldBy)+len(i.Alias)+len(i.Also) == 0
}

// Setting is one line of a unit file.
type Setting struct {
	Section, Key, Value string
	Line                int // from 1
}

// ParseUnit splits a unit file into its settings: comments and empty lines
// are left out, continued lines joined. Lines that are no settings are
// skipped, as systemd does with a warning.
func ParseUnit(text string) []Setting {
	var out []Setting
	section, pending, start := "", "", 0
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
			continue // also between continued lines
		}
		if pending == "" {
			start = i + 1
		}
		if strings.HasSuffix(trimmed, `\`) {
			pending += strings.TrimSuffix(trimmed, `\`) + " "
			continue
		}
		trimmed, pending = pending+trimmed, ""
		if strings.HasPrefix(trimmed, "[") && strings.HasSuffix(trimmed, "]") {
			section = trimmed[1 : len(trimmed)-1]
			continue
		}
		if key, value, ok := strings.Cut(trimmed, "="); ok {
			out = append(out, Setting{section, strings.TrimSpace(key), strings.TrimSpace(value), start})
		}
	}
	return out
}

// add merges the [Install] settings of a unit file or drop-in. An empty
// value resets a list.
func (i *Install) add(text string) {
	lists := map[string]*[]string{"WantedBy": &i.WantedBy, "RequiredBy": &i.RequiredBy, "UpheldBy": &i.UpheldBy, "Alias": &i.Alias, "Also": &i.Also}
	for _, s := range ParseUnit(text) {
		if s.Section != "Install" {
			continue
		}
		if s.Key == "DefaultInstance" {
			i.DefaultInstance = s.Value
		}
		if list := lists[s.Key]; list != nil {
			if s.Value == "" {
				*list = nil
			}
			*list = append(*list, strings.Fields(s.Value)...)
		}
	}
}

// name is a unit name taken apart: prefix@instance.suffix.
type name struct {
	prefix, instance, suffix string // suffix with the dot
	at                       bool   // it has an "@"
}

func splitName(unit string) name {
	n := name{suffix: path.Ext(unit)}
	stem := strings.TrimSuffix(unit, n.suffix)
	n.prefix, n.instance, n.at = strings.Cut(stem, "@")
	return n
}

func (n name) template() bool { return n.at && n.instance == "" }

func (n name) String() string {
	if n.at {
		return n.prefix + "@" + n.instance + n.suffix
	}
	return n.prefix + n.suffix
}

// expand replaces the specifiers that [Install] may hold and that do not
// depend on a machine.
func (n name) expand(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	last := n.prefix[strings.LastIndexByte(n.prefix, '-')+1:]
	return strings.NewReplacer("%%", "%", "%n", n.String(), "%N", strings.TrimSuffix(n.String(), n.suffix),
		"%p", n.prefix, "%i", n.instance, "%j", last).Replace(text)
}
