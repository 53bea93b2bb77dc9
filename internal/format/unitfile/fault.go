package unitfile

import (
	"fmt"
	"strings"
)

// Longest line of a unit, in bytes, that Ignition takes.
const lineMax = 2048

// Fault finds the first line of a unit that Ignition would refuse, as a
// 1-based number, and says what is wrong with it. 0 means none was found.
func Fault(contents string) (line int, fault string) {
	section, continued := false, false
	for i, text := range strings.Split(contents, "\n") {
		text = strings.TrimSpace(text)
		skip := continued
		continued = strings.HasSuffix(text, `\`)
		switch {
		case len(text) >= lineMax:
			return i + 1, fmt.Sprintf("the line is longer than %d bytes", lineMax)
		case skip || text == "" || text[0] == '#' || text[0] == ';':
		case text[0] == '[':
			if fault := sectionFault(text); fault != "" {
				return i + 1, fault
			}
			section = true
		case section && !strings.Contains(text, "="):
			return i + 1, fmt.Sprintf("%q has no =", text)
		}
	}
	return 0, ""
}

func sectionFault(text string) string {
	end := strings.IndexByte(text, ']')
	switch {
	case end < 0:
		return fmt.Sprintf("%q has no closing bracket", text)
	case end != len(text)-1:
		return fmt.Sprintf("there is something after the section %s", text[:end+1])
	}
	return ""
}
