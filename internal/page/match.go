package page

import "strings"

// wild matches any number of lines as a line, any text within one.
const wild = "..."

// Match tells whether output is what the lines want. Space at the ends of
// lines and empty lines at the end do not count.
func Match(want []string, output string) bool {
	return matchLines(clean(want), Lines(output))
}

// Lines splits an output for matching.
func Lines(output string) []string {
	return clean(strings.Split(output, "\n"))
}

func clean(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimRight(strings.ReplaceAll(l, "\r", ""), " \t")
	}
	return trimEnd(out)
}

func trimEnd(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func isWild(line string) bool { return strings.TrimSpace(line) == wild }

// matchLines is the usual matching of one wildcard, on lines: at a dead end
// the latest wildcard takes one line more.
func matchLines(want, got []string) bool {
	w, g, star, mark := 0, 0, -1, 0
	for g < len(got) {
		switch {
		case w < len(want) && isWild(want[w]):
			star, mark = w, g
			w++
		case w < len(want) && matchLine(want[w], got[g]):
			w++
			g++
		case star >= 0:
			mark++
			w, g = star+1, mark
		default:
			return false
		}
	}
	for w < len(want) && isWild(want[w]) {
		w++
	}
	return w == len(want)
}

func matchLine(want, got string) bool {
	parts := strings.Split(want, wild)
	if len(parts) == 1 {
		return want == got
	}
	first, last := parts[0], parts[len(parts)-1]
	got, ok := strings.CutPrefix(got, first)
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(got, part)
		if i < 0 {
			return false
		}
		got = got[i+len(part):]
	}
	return strings.HasSuffix(got, last)
}

// maxDiff is how many lines of an output a difference shows.
const maxDiff = 200

// Diff shows both side by side of a mismatch: "-" a wanted line that did not
// come, "+" one that came unwanted, " " one that agrees.
func Diff(want []string, output string) string {
	w, g := clean(want), Lines(output)
	cut := ""
	if over := len(g) - maxDiff; over > 0 {
		g, cut = g[:maxDiff], "  (more lines follow)\n"
	}
	var b strings.Builder
	for _, l := range diffLines(w, g) {
		b.WriteString(l + "\n")
	}
	return b.String() + cut
}

// diffLines aligns as many lines as possible; the table holds for each pair
// of tails how many agree.
func diffLines(want, got []string) []string {
	agree := make([][]int, len(want)+1)
	agree[len(want)] = make([]int, len(got)+1)
	for i := len(want) - 1; i >= 0; i-- {
		agree[i] = make([]int, len(got)+1)
		for j := len(got) - 1; j >= 0; j-- {
			switch {
			case isWild(want[i]):
				agree[i][j] = max(agree[i+1][j], agree[i][j+1])
			case matchLine(want[i], got[j]):
				agree[i][j] = agree[i+1][j+1] + 1
			default:
				agree[i][j] = max(agree[i+1][j], agree[i][j+1])
			}
		}
	}
	return walkDiff(want, got, agree)
}

func walkDiff(want, got []string, agree [][]int) []string {
	var out []string
	i, j, inWild := 0, 0, false
	for i < len(want) || j < len(got) {
		switch {
		case i < len(want) && isWild(want[i]):
			out, inWild = append(out, "  "+wild), true
			i++
		case i < len(want) && j < len(got) && matchLine(want[i], got[j]) && agree[i][j] == agree[i+1][j+1]+1:
			out, inWild = append(out, "  "+got[j]), false
			i, j = i+1, j+1
		case j < len(got) && (i == len(want) || agree[i][j+1] >= agree[i+1][j]):
			if !inWild {
				out = append(out, "+ "+got[j])
			}
			j++
		default:
			out, inWild = append(out, "- "+want[i]), false
			i++
		}
	}
	return out
}
