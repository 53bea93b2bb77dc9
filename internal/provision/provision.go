// Package provision turns a user's configuration into a machine: Load reads
// it, Config.Plan makes the ordered steps of it without touching anything,
// and Apply takes the steps on a target. Each step and each problem carries
// the place in the user's own text that asked for it.
//
// Read are Ignition JSON of spec 1 and 2.0 to 2.4 (through package
// provision/legacy), of 3.0 to 3.6 and 3.7-experimental, and Butane variant
// flatcar through a Translator (package provision/butane), which the programs
// of the image leave out. What a target cannot do is refused with the place,
// before the first change.
//
// The contract is that of coreos/ignition: see docs "stages", sections files,
// units and users of its operator notes and the configuration specifications,
// https://coreos.github.io/ignition/specs/.
//
//	config, report := provision.Load("config.ign", data, provision.LoadOptions{})
//	config, report = config.Render(ctx, fetcher)
//	plan, err := config.Plan(provision.DefaultFacts())
//	err = provision.Apply(ctx, plan, target)
package provision

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Position is a place in a text of the user. Line and Column count from 1; 0
// means unknown. The name of a text that another one refers to begins with the
// place of the reference: my.bu:7:17 > https://example.org/child.ign.
type Position struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is file:line:column, as far as known.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// IsZero tells whether nothing is known.
func (p Position) IsZero() bool { return p == Position{} }

// Severity says what a problem means for the machine.
type Severity string

// The severities. An error stops before the first change.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Problem is one thing to tell the user about a configuration.
type Problem struct {
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // one clause: the object and what is wrong with it
	Position
	Path   string `json:"path,omitempty"`   // element, as storage.files[0].path
	Remedy string `json:"remedy,omitempty"` // what to do, as an order
	Cause  error  `json:"-"`                // what happened, if it was not read from the text
}

// String is one line: position, message, remedy.
func (p Problem) String() string {
	var b strings.Builder
	if at := p.Position.String(); at != "" {
		b.WriteString(at + ": ")
	}
	if p.Severity != Error {
		b.WriteString(string(p.Severity) + ": ")
	}
	b.WriteString(p.Message)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// Report is a list of problems. It is an error if one of them is.
type Report []Problem

// Err returns the report as an error if it has one that stops, else nil.
func (r Report) Err() error {
	for _, p := range r {
		if p.Severity == Error {
			return r
		}
	}
	return nil
}

// Unwrap gives the causes of the errors.
func (r Report) Unwrap() []error {
	var out []error
	for _, p := range r {
		if p.Severity == Error && p.Cause != nil {
			out = append(out, p.Cause)
		}
	}
	return out
}

// Error is the first error's line, and how many more there are.
func (r Report) Error() string {
	first, more := "", 0
	for _, p := range r {
		if p.Severity != Error {
			continue
		}
		if first == "" {
			first = p.String()
		} else {
			more++
		}
	}
	if more > 0 {
		first += fmt.Sprintf(" (and %d more)", more)
	}
	return first
}

// sorted returns the report in the order of the text, errors of one place
// first, without repetitions.
func (r Report) sorted() Report {
	sort.SliceStable(r, func(i, j int) bool {
		a, b := r[i], r[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		if a.Column != b.Column {
			return a.Column < b.Column
		}
		return a.Severity < b.Severity
	})
	var out Report
	for i, p := range r {
		if i == 0 || p != r[i-1] {
			out = append(out, p)
		}
	}
	return out
}

// Strict returns the report with warnings made errors.
func (r Report) Strict() Report {
	out := slices.Clone(r)
	for i := range out {
		if out[i].Severity == Warning {
			out[i].Severity = Error
		}
	}
	return out
}

// Sorted returns the report in the order of the text, without repetitions.
func (r Report) Sorted() Report { return r.sorted() }
