package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
)

// report is all that a run of the benchmarks found out.
type report struct {
	Facts    []fact    `json:"facts"`
	Measures []measure `json:"measures"`
}

// fact is something that the figures depend on: a version, the machine.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// writeJSON writes the report as one JSON document.
func (r report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeText writes the report for people: the facts, the table, then notes
// and the reasons of what is missing.
func (r report) writeText(w io.Writer) error {
	for _, f := range r.Facts {
		fmt.Fprintf(w, "%s: %s\n", f.Name, f.Value)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\twellcar\tmkosi\tratio\ttarget\tverdict")
	for _, m := range r.Measures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Wellcar.text(m.Unit), m.Peer.text(m.Unit), m.ratioText(), m.Target.text(m.Unit), m.Verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, r.footnotes())
	return err
}

// footnotes explain rows, each reason once.
func (r report) footnotes() string {
	var b strings.Builder
	said := map[string]bool{}
	for _, m := range r.Measures {
		if m.Note != "" {
			fmt.Fprintf(&b, "%s: %s\n", strings.TrimSpace(m.Name), m.Note)
		}
	}
	for _, m := range r.Measures {
		for _, s := range []struct{ who, why string }{{"wellcar", m.Wellcar.Skip}, {"mkosi", m.Peer.Skip}} {
			if line := s.who + " skipped: " + s.why + "\n"; s.why != "" && !said[line] {
				said[line] = true
				b.WriteString(line)
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

func (f figure) text(u unit) string {
	if !f.known() {
		return "skipped"
	}
	return amount(f.Median, u)
}

// amount writes a figure with its unit: seconds with two decimals below 100,
// milliseconds below a second, bytes in powers of ten.
func amount(v float64, u unit) string {
	switch {
	case u == octets && v >= 1e9:
		return fmt.Sprintf("%.2f GB", v/1e9)
	case u == octets:
		return fmt.Sprintf("%.1f MB", v/1e6)
	case v >= 100:
		return fmt.Sprintf("%.0f s", v)
	case v < 1:
		return fmt.Sprintf("%.1f ms", 1000*v)
	}
	return fmt.Sprintf("%.2f s", v)
}

func (m measure) ratioText() string {
	if m.Ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("1 : %.1f", m.Ratio)
}

// wholeNumber are the decimals of a number without any.
var wholeNumber = regexp.MustCompile(`\.0+\b`)

func (t target) text(u unit) string {
	switch {
	case t.AtMost > 0:
		return "<= " + wholeNumber.ReplaceAllString(amount(t.AtMost, u), "")
	case t.Ratio > 0:
		return fmt.Sprintf(">= 1 : %g", t.Ratio)
	}
	return ""
}
