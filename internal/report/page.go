package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Screen is what a page is drawn for.
type Screen struct {
	Width  int // characters; 0: 80
	Height int // lines; 0: it scrolls, so there is no limit
}

// The narrowest column of text beside a code, and the space between.
const (
	minBeside = 36
	minScroll = 72 // the same where the page may be as long as it likes
	gap       = 2
)

// Page is the report as lines of a screen. If the height is not enough for
// everything, the code tells less, then goes, then the text loses its end.
func Page(r Report, s Screen) []string {
	if s.Width <= 0 {
		s.Width = 80
	}
	r = r.Bound()
	shown, terse := r, r
	shown.Last = shown.Last[max(0, len(shown.Last)-1):]
	terse.Last, terse.System = nil, ""
	for _, told := range r.shorter() {
		code := qr(told.CodeText())
		for _, words := range []Report{r, shown, terse} {
			if lines := words.arrange(code, s); lines != nil {
				return lines
			}
		}
	}
	lines := r.text(s.Width, false)
	if s.Height > 0 && len(lines) > s.Height {
		lines = lines[:s.Height]
	}
	return lines
}

// shorter are reports that tell less and less of this one.
func (r Report) shorter() []Report {
	brief := r
	brief.Last, brief.Next = brief.Last[max(0, len(brief.Last)-2):], nil
	bare := brief
	bare.Last, bare.Source = nil, ""
	if len(bare.Excerpt) > 0 {
		bare.Excerpt = nil
	}
	least := Report{Failed: r.Failed, At: r.At, Sentence: clean(r.Sentence, 160)}
	return []Report{r, brief, bare, least}
}

// arrange puts text and code on the screen, nil if they do not fit.
func (r Report) arrange(code []string, s Screen) []string {
	if code == nil {
		return nil
	}
	codeWidth := utf8.RuneCountInString(code[0])
	if room := s.Width - codeWidth - gap; room >= minBeside && (s.Height > 0 || room >= minScroll) {
		if lines := beside(r.text(room, true), code, room); s.Height == 0 || len(lines) <= s.Height {
			return lines
		}
	}
	if codeWidth > s.Width {
		return nil
	}
	lines := append(append(r.text(s.Width, true), ""), code...)
	if s.Height > 0 && len(lines) > s.Height {
		return nil
	}
	return lines
}

func beside(text, code []string, width int) []string {
	out := make([]string, max(len(text), len(code)))
	for i := range out {
		line := ""
		if i < len(text) {
			line = text[i]
		}
		if i < len(code) {
			line += strings.Repeat(" ", width-utf8.RuneCountInString(line)+gap) + code[i]
		}
		out[i] = line
	}
	return out
}

// text is the page without a code; withCode tells whether one is near.
func (r Report) text(width int, withCode bool) []string {
	out := append(wrap(r.title(), width), "")
	out = append(out, wrap(r.Sentence, width)...)
	if excerpt := r.excerpt(width); len(excerpt) > 0 {
		out = append(append(out, ""), excerpt...)
	}
	if r.Done+r.Kept+r.Pending > 0 {
		out = append(append(out, ""), r.section("So far", append([]string{r.counts()}, r.Last...), width)...)
	}
	if len(r.Next) > 0 {
		out = append(append(out, ""), r.section("Next", r.Next, width)...)
	}
	if withCode {
		out = append(append(out, ""), r.section("Code", []string{"wellcar report --decode TEXT reads it"}, width)...)
	}
	return out
}

func (r Report) title() string {
	title := "WELLCAR: PROVISIONED"
	switch {
	case r.Failed && r.Phase != "" && r.Phase != "provision":
		title = "WELLCAR: THE BOOT FAILED (" + r.Phase + ")"
	case r.Failed:
		title = "WELLCAR: PROVISIONING FAILED"
	}
	if r.System != "" {
		title += ", version " + r.System
	}
	return title
}

// section is a heading and items, each wrapped beside it.
func (r Report) section(name string, items []string, width int) []string {
	const indent = 8
	var out []string
	for _, item := range items {
		for i, line := range wrap(item, width-indent) {
			if i > 0 {
				line = "  " + line
				if utf8.RuneCountInString(line) > width-indent {
					line = line[2:]
				}
			}
			out = append(out, strings.Repeat(" ", indent)+line)
		}
	}
	if len(out) > 0 {
		out[0] = fmt.Sprintf("%-*s", indent, name) + out[0][indent:]
	}
	return out
}

// excerpt shows the user's lines with a caret below the place.
func (r Report) excerpt(width int) []string {
	if len(r.Excerpt) == 0 {
		return nil
	}
	digits := len(fmt.Sprint(r.Excerpt[len(r.Excerpt)-1].Number))
	room := max(width-digits-5, 8)
	from := 0
	if r.Column > room {
		from = r.Column - room/2
	}
	var out []string
	for _, l := range r.Excerpt {
		mark := ' '
		if l.Number == r.Mark {
			mark = '>'
		}
		out = append(out, strings.TrimRight(fmt.Sprintf("%c %*d | %s", mark, digits, l.Number, window(l.Text, from, room)), " "))
		if l.Number == r.Mark && r.Column > from {
			out = append(out, fmt.Sprintf("  %*s | %s^", digits, "", strings.Repeat(" ", r.Column-from-1)))
		}
	}
	return out
}

// window is a part of a line, its cut ends marked.
func window(text string, from, room int) string {
	runes := []rune(text)
	if from >= len(runes) {
		return ""
	}
	runes = runes[from:]
	if len(runes) > room {
		return string(runes[:room-3]) + "..."
	}
	return string(runes)
}

// wrap breaks a text at blanks, and words that are longer than a line.
func wrap(text string, width int) []string {
	width = max(width, 8)
	var lines []string
	line, used := "", 0
	for _, word := range pieces(strings.Fields(text), width) {
		n := utf8.RuneCountInString(word)
		if used > 0 && used+1+n > width {
			lines, line, used = append(lines, line), "", 0
		}
		if used > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	return append(lines, line)
}

// pieces cuts words that are longer than a line.
func pieces(words []string, width int) []string {
	var out []string
	for _, word := range words {
		runes := []rune(word)
		for ; len(runes) > width; runes = runes[width:] {
			out = append(out, string(runes[:width]))
		}
		out = append(out, string(runes))
	}
	return out
}

// Words is the report as lines for a terminal of any height, without a code.
func Words(r Report) []string { return r.Bound().text(100, false) }
