// Package grubcfg reads and changes the file grub.cfg in which the owners of a
// machine keep words for the kernel command line (GRUB manual, "Shell-like
// scripting"):
//
//	set linux_append="$linux_append mitigations=auto,nosmt"
//
// Only what the script does in any case counts: a setting inside of if, for,
// while, a function or a menu entry is left alone. Nothing is run; variables
// that the file has not set are empty.
package grubcfg

import "strings"

// Settings are the values of the variables that mean something.
type Settings struct {
	OEM     string // oem_id: where the configuration of the machine comes from
	Console string // linux_console
	Append  string // linux_append
}

// Parse reads a script. It accepts everything; what it does not understand
// sets nothing.
func Parse(text string) Settings {
	vars := map[string]string{}
	for _, c := range commands(text) {
		if c.name != "" {
			vars[c.name] = expand(c.value, vars)
		}
	}
	return Settings{OEM: tidy(vars["oem_id"]), Console: tidy(vars["linux_console"]), Append: tidy(vars["linux_append"])}
}

// Line is what the settings add to a kernel command line.
func (s Settings) Line() string {
	id := s.OEM
	if id != "" {
		id = "flatcar.oem.id=" + id
	}
	return tidy(id + " " + s.Console + " " + s.Append)
}

// SetAppend replaces all unconditional settings of linux_append by one that
// yields value; an empty value leaves none.
func SetAppend(text, value string) string {
	var out strings.Builder
	at, place := 0, -1
	for _, c := range commands(text) {
		if c.name != "linux_append" {
			continue
		}
		out.WriteString(text[at:c.start])
		place, at = out.Len(), c.end
	}
	rest := text[at:]
	if value == "" {
		return out.String() + rest
	}
	line := `set linux_append="$linux_append ` + escape(value) + "\"\n"
	if place < 0 {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return text + line
	}
	done := out.String()
	if done != "" && !strings.HasSuffix(done, "\n") {
		line = "\n" + line
	}
	return done + line + strings.TrimPrefix(rest, "\n")
}

// tidy leaves single spaces between words.
func tidy(s string) string { return strings.Join(strings.Fields(s), " ") }

// escape makes a value safe between double quotes.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(s)
}
