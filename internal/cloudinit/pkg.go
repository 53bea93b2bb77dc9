// Package cloudinit reads and carries out the user data of the time before
// Ignition: cloud-config (YAML after a first line "#cloud-config"), scripts
// ("#!") and MIME messages of both, plain or gzip.
//
// The keys are those of the Flatcar fork of coreos-cloudinit: hostname,
// ssh_authorized_keys, users, write_files, manage_etc_hosts and coreos.*.
// Words of a key may be joined by "-" or "_". The document that named them is
// https://github.com/flatcar/coreos-cloudinit/blob/master/Documentation/cloud-config.md
//
// Parse is pure and tells every problem with its place; Apply changes the
// machine through what it is handed in Machine.
//
//	data, problems := cloudinit.Parse("user_data", text, cloudinit.Values{})
//	err := data.Apply(ctx, machine, cloudinit.Facts{})
package cloudinit

import (
	"fmt"
	"strings"
)

// Severity says what a problem means.
type Severity string

// The severities. An error keeps its part from being applied.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Problem is one thing to tell the user about a text.
type Problem struct {
	Severity     Severity
	File         string
	Line, Column int    // from 1; 0: unknown
	Message      string // one clause
	Remedy       string // what to do, as an order
}

// String is one line: place, message, remedy.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Column > 0 {
		fmt.Fprintf(&b, ":%d", p.Column)
	}
	if p.Severity != Error {
		fmt.Fprintf(&b, ": %s", p.Severity)
	}
	b.WriteString(": " + p.Message)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// Error implements error.
func (p Problem) Error() string { return p.String() }

// Report is every problem of a text.
type Report []Problem

// Err is the first error of a report, nil if there is none.
func (r Report) Err() error {
	for _, p := range r {
		if p.Severity == Error {
			return p
		}
	}
	return nil
}
