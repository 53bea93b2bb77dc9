package provision

import (
	"fmt"
	"strings"
)

// Render is a plan as a table, one line for each step: number, place in the
// user's text, what is done to what, details. Warnings follow.
func Render(p Plan) string {
	rows := make([][]string, 0, len(p.Steps))
	for i, s := range p.Steps {
		sum := s.Action.Summary()
		rows = append(rows, []string{fmt.Sprint(i + 1), place(s.At), sum.Verb + " " + sum.What, sum.Name, sum.Detail})
	}
	var b strings.Builder
	WriteTable(&b, rows)
	for _, w := range p.Warnings {
		b.WriteString(w.String() + "\n")
	}
	return b.String()
}

func place(at Position) string {
	if at.IsZero() {
		return "-"
	}
	return at.String()
}

// WriteTable aligns columns two blanks apart; the first to the right.
func WriteTable(b *strings.Builder, rows [][]string) {
	var width []int
	for _, r := range rows {
		for i, cell := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, cell := range r {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 0 {
				line.WriteString(pad + cell)
				continue
			}
			line.WriteString("  " + cell + pad)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
