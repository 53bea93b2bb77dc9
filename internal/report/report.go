package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Report is the outcome of a boot's first part.
type Report struct {
	Failed   bool
	Phase    string // part of the boot: provision, root ...
	Sentence string // with the place, if there is one
	At       string // file:line:column of the user's text, "" if none
	Column   int    // of At, from 1; 0: unknown
	Mark     int    // number of the line that At names
	Excerpt  []Line // the lines around it
	Done     int    // steps done
	Kept     int    // steps that found what they were to make
	Pending  int    // steps not begun
	Last     []string
	Next     []string // what happens now, a sentence each
	Source   string   // where the config came from
	Boot     string   // id of the boot
	System   string   // version of the system
	Took     time.Duration
}

// Line is a line of the user's text.
type Line struct {
	Number int
	Text   string
}

// What Bound cuts to, in characters and entries.
const (
	maxSentence = 600
	maxWord     = 120
	maxLine     = 200
	maxExcerpt  = 5
	maxLast     = 6
	maxNext     = 4
	maxCount    = 999_999_999
	maxTook     = maxCount * time.Millisecond
)

// Bound is the report with every text cut to a limit and without control
// characters, so that neither a config nor a server's answer can steer a
// terminal.
func (r Report) Bound() Report {
	r.Sentence = clean(r.Sentence, maxSentence)
	for _, s := range []*string{&r.Phase, &r.At, &r.Source, &r.Boot, &r.System} {
		*s = clean(*s, maxWord)
	}
	r.Excerpt = append([]Line(nil), r.Excerpt[:min(len(r.Excerpt), maxExcerpt)]...)
	for i, l := range r.Excerpt {
		r.Excerpt[i] = Line{count(l.Number), clean(l.Text, maxLine)}
	}
	for _, n := range []*int{&r.Column, &r.Mark, &r.Done, &r.Kept, &r.Pending} {
		*n = count(*n)
	}
	r.Took = min(max(r.Took, 0), maxTook)
	r.Last = cleanAll(r.Last[max(0, len(r.Last)-maxLast):])
	r.Next = cleanAll(r.Next[:min(len(r.Next), maxNext)])
	return r
}

// count is a number that a report can have.
func count(n int) int { return min(max(n, 0), maxCount) }

func cleanAll(texts []string) []string {
	out := make([]string, 0, len(texts))
	for _, t := range texts {
		if t = clean(t, maxLine); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// clean replaces what a terminal would act on, and cuts.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-3]) + "..."
	}
	return text
}

// Excerpt takes the line with a number and two lines on each side of it from
// a text. The values of keys that hold secrets are left out.
func Excerpt(text string, number int) []Line {
	if number < 1 || text == "" {
		return nil
	}
	var out []Line
	n := 0
	for line := range strings.Lines(text) {
		if n++; n > number+2 {
			break
		}
		if n >= number-2 {
			out = append(out, Line{n, clean(hideSecret(strings.TrimRight(line, "\r\n")), 4*maxLine)})
		}
	}
	if n < number {
		return nil
	}
	return out
}

// secretKeys are names of keys whose values no page shows.
var secretKeys = []string{"passwordhash", "password_hash", "password", "passphrase", "secret", "authorization", "token"}

// hideSecret cuts a line behind the first key that holds a secret.
func hideSecret(line string) string {
	lower := strings.ToLower(line)
	if len(lower) != len(line) {
		return line // letters whose cases differ in length are in no key
	}
	for _, key := range secretKeys {
		for from := 0; ; {
			i := strings.Index(lower[from:], key)
			if i < 0 {
				break
			}
			end := from + i + len(key)
			rest := strings.TrimLeft(lower[end:], `"' `)
			if strings.HasPrefix(rest, ":") && strings.TrimSpace(rest[1:]) != "" {
				at := len(line) - len(rest) + 1
				return line[:at] + " (hidden)"
			}
			from = end
		}
	}
	return line
}

// Short is the report in one line.
func (r Report) Short() string {
	switch {
	case r.Failed && r.Phase != "" && r.Phase != "provision":
		return "the boot failed: " + r.Sentence
	case r.Failed:
		return "provisioning failed: " + r.Sentence
	case r.Source == "":
		return "there was no config to provision from"
	}
	return fmt.Sprintf("provisioned from %s in %s: %s", r.Source, r.Took.Round(time.Millisecond), r.counts())
}

func (r Report) counts() string {
	text := fmt.Sprintf("%d %s done", r.Done, plural(r.Done, "step"))
	if r.Kept > 0 {
		text += fmt.Sprintf(", %d as wanted already", r.Kept)
	}
	if r.Pending > 0 {
		text += fmt.Sprintf(", %d not begun", r.Pending)
	}
	return text
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// File is where the provisioning of this boot leaves its report, as Encode
// writes it.
const File = "/run/wellcar/report"
