package unitfile

import "strings"

// Assignment is a line Name=Value of a unit.
type Assignment struct {
	Section string
	Name    string
	Value   string // without quotes taken off, continuation lines joined by a space
	Line    int    // from 1
}

// Section is a line [Name] of a unit.
type Section struct {
	Name string
	Line int // from 1
}

// Mistake is a line that systemd ignores, or cannot read.
type Mistake struct {
	Line    int // from 1
	Message string
}

// Unit is the text of a unit.
type Unit struct {
	Sections    []Section
	Assignments []Assignment
	Mistakes    []Mistake
}

// Parse reads a unit. Comments may stand within continued lines.
func Parse(text string) Unit {
	var u Unit
	section := ""
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		start := i
		line := strings.TrimSpace(lines[i])
		if isComment(line) {
			continue
		}
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			next := strings.TrimSpace(lines[i])
			if next != "" && isComment(next) {
				continue
			}
			line = strings.TrimSuffix(line, `\`) + " " + next
		}
		section = u.line(section, line, start+1)
	}
	return u
}

func isComment(line string) bool { return line == "" || line[0] == '#' || line[0] == ';' }

// line takes one logical line and returns the section after it.
func (u *Unit) line(section, line string, number int) string {
	if line[0] == '[' {
		name := strings.TrimSuffix(line[1:], "]")
		if !strings.HasSuffix(line, "]") {
			u.mistake(number, "the section "+line+" has no closing bracket")
			return ""
		}
		u.Sections = append(u.Sections, Section{name, number})
		return name
	}
	name, value, found := strings.Cut(line, "=")
	switch {
	case !found:
		u.mistake(number, "the line has no =, so it is ignored")
	case section == "":
		u.mistake(number, "the line stands before any section, so it is ignored")
	default:
		u.Assignments = append(u.Assignments, Assignment{section, strings.TrimSpace(name), strings.TrimSpace(value), number})
	}
	return section
}

func (u *Unit) mistake(line int, message string) {
	u.Mistakes = append(u.Mistakes, Mistake{line, message})
}
