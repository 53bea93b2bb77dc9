package report

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// JSON is the report for programs and for the next boot. It is written by
// hand, as the JSON package would be a tenth of the initrd's program; the
// names are those that the JSON package finds in Stored.
func (r Report) JSON() []byte {
	r = r.Bound()
	w := &jsonWriter{}
	w.field("failed", strconv.FormatBool(r.Failed))
	for _, f := range [][2]string{{"phase", r.Phase}, {"sentence", r.Sentence}, {"at", r.At}, {"source", r.Source}, {"boot", r.Boot}, {"system", r.System}} {
		if f[1] != "" {
			w.field(f[0], quote(f[1]))
		}
	}
	w.count("column", r.Column)
	w.count("mark", r.Mark)
	lines := make([]string, len(r.Excerpt))
	for i, l := range r.Excerpt {
		lines[i] = `{"number":` + strconv.Itoa(l.Number) + `,"text":` + quote(l.Text) + "}"
	}
	w.list("excerpt", lines)
	w.count("done", r.Done)
	w.count("kept", r.Kept)
	w.count("pending", r.Pending)
	w.list("last", quoteAll(r.Last))
	w.list("next", quoteAll(r.Next))
	w.count("took_ms", int(r.Took.Milliseconds()))
	return []byte("{" + w.b.String() + "}\n")
}

// Stored is how programs that have the JSON package read JSON.
type Stored struct {
	Failed   bool   `json:"failed"`
	Phase    string `json:"phase"`
	Sentence string `json:"sentence"`
	At       string `json:"at"`
	Source   string `json:"source"`
	Boot     string `json:"boot"`
	System   string `json:"system"`
	Column   int    `json:"column"`
	Mark     int    `json:"mark"`
	Excerpt  []struct {
		Number int    `json:"number"`
		Text   string `json:"text"`
	} `json:"excerpt"`
	Done    int      `json:"done"`
	Kept    int      `json:"kept"`
	Pending int      `json:"pending"`
	Last    []string `json:"last"`
	Next    []string `json:"next"`
	TookMS  int64    `json:"took_ms"`
}

type jsonWriter struct{ b strings.Builder }

func (w *jsonWriter) field(name, value string) {
	if w.b.Len() > 0 {
		w.b.WriteByte(',')
	}
	w.b.WriteString(`"` + name + `":` + value)
}

func (w *jsonWriter) count(name string, n int) {
	if n != 0 {
		w.field(name, strconv.Itoa(n))
	}
}

func (w *jsonWriter) list(name string, items []string) {
	if len(items) > 0 {
		w.field(name, "["+strings.Join(items, ",")+"]")
	}
}

func quoteAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = quote(t)
	}
	return out
}

// quote writes a string of RFC 8259. Bound has removed control characters.
func quote(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "?")
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// Report is the report that was stored.
func (s Stored) Report() Report {
	r := Report{Failed: s.Failed, Phase: s.Phase, Sentence: s.Sentence, At: s.At, Column: s.Column, Mark: s.Mark,
		Done: s.Done, Kept: s.Kept, Pending: s.Pending, Last: s.Last, Next: s.Next, Source: s.Source, Boot: s.Boot,
		System: s.System, Took: time.Duration(s.TookMS) * time.Millisecond}
	for _, l := range s.Excerpt {
		r.Excerpt = append(r.Excerpt, Line{l.Number, l.Text})
	}
	return r.Bound()
}
