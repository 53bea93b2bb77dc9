package provision

import (
	"context"
	"strings"
)

// Action is what a step does. The types of this package are all there are.
type Action interface {
	// Kind is the type's name in JSON.
	Kind() string
	// Summary is what the action does, for people.
	Summary() Summary
	// do takes the step. Taking it again on the outcome changes nothing
	// unless the type says so.
	do(ctx context.Context, m *machine) (Outcome, error)
}

// Summary is an action in words: write file /etc/motd (0644 root:root).
type Summary struct {
	Verb   string `json:"verb"` // write
	Past   string `json:"past"` // wrote
	What   string `json:"what"` // file
	Name   string `json:"name"` // /etc/motd
	Detail string `json:"detail,omitempty"`
}

// String is the summary in one line, as an order.
func (s Summary) String() string { return s.line(s.Verb) }

// Done is the summary in one line, as a report.
func (s Summary) Done() string { return s.line(s.Past) }

func (s Summary) line(verb string) string {
	words := []string{verb}
	for _, w := range []string{s.What, s.Name} {
		if w != "" {
			words = append(words, w)
		}
	}
	if s.Detail != "" {
		words = append(words, "("+s.Detail+")")
	}
	return strings.Join(words, " ")
}

// Outcome is what came of a step.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Kept    Outcome = "kept" // it was as wanted already
	Failed  Outcome = "failed"
	Pending Outcome = "pending" // an earlier step failed
)

func join(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, ", ")
}
