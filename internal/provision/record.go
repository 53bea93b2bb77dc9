package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"wellcar.dev/internal/report"
)

// RecordFile is where the record of the last provisioning is.
const RecordFile = "/run/wellcar/provision.json"

// Record says what was planned and what came of it. It is written as JSON.
type Record struct {
	Platform   string         `json:"platform"`
	Source     string         `json:"source,omitempty"` // where the platform found the config
	Config     string         `json:"config,omitempty"` // name of the text
	Provided   bool           `json:"userConfigProvided"`
	Steps      []RecordedStep `json:"steps"`
	Problems   Report         `json:"problems,omitempty"`
	Failure    *Failure       `json:"failure,omitempty"`
	DurationUS int64          `json:"duration_us"`

	Texts map[string]string `json:"-"` // the user's own, by name
}

// RecordedStep is a step and its outcome.
type RecordedStep struct {
	Kind       string   `json:"kind"`
	Stage      Stage    `json:"stage"`
	At         Position `json:"at,omitzero"`
	Describe   string   `json:"describe"`
	Did        string   `json:"did,omitempty"` // the same as a report, if it was done
	Outcome    Outcome  `json:"outcome"`
	DurationUS int64    `json:"duration_us"`
	Error      string   `json:"error,omitempty"`
}

// Failure is why provisioning stopped.
type Failure struct {
	Sentence string   `json:"sentence"` // with the position, if known
	At       Position `json:"at,omitzero"`
	Excerpt  []Line   `json:"excerpt,omitempty"` // the user's lines around At
}

// Line is a line of a text, counted from 1.
type Line struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
}

// Text makes a text known that positions may lie in, so that a failure can
// show its lines.
func (r *Record) Text(name string, data []byte) {
	if r.Texts == nil {
		r.Texts = map[string]string{}
	}
	r.Texts[name] = string(data)
}

// Begin records a plan before its first step. Steps that an earlier process
// took stay as it recorded them; stages are those that come now.
func (r *Record) Begin(p Plan, stages ...Stage) {
	r.Config, r.Provided, r.Problems = p.Config, p.Provided, p.Warnings
	earlier := r.Steps
	r.Steps = make([]RecordedStep, len(p.Steps))
	for i, s := range p.Steps {
		r.Steps[i] = recorded(s)
		if len(stages) > 0 && i < len(earlier) && earlier[i].Stage == s.Stage && !slices.Contains(stages, s.Stage) {
			r.Steps[i] = earlier[i]
		}
	}
}

func recorded(s Step) RecordedStep {
	return RecordedStep{Kind: s.Action.Kind(), Stage: s.Stage, At: s.At, Describe: s.Describe(), Outcome: Pending}
}

// Step records what came of a step; it fits Target.Step. The order of steps
// on the target may differ from the plan's, so the step is recorded anew.
func (r *Record) Step(i int, s Step, result StepResult) {
	out := recorded(s)
	out.Outcome, out.DurationUS = result.Outcome, result.Duration.Microseconds()
	if result.Outcome == Done {
		out.Did = s.Action.Summary().Done()
	}
	if result.Err != nil {
		out.Error = result.Err.Error()
	}
	r.Steps[i] = out
}

// End records the end of a process that took some time, after a failure its
// sentence and place.
func (r *Record) End(err error, took time.Duration) {
	r.DurationUS += took.Microseconds()
	if err == nil {
		return
	}
	r.Failure = &Failure{Sentence: err.Error()}
	var step *StepError
	var problems Report
	switch {
	case errors.As(err, &step):
		r.Failure.At = step.Step.At
	case errors.As(err, &problems):
		r.Problems = problems
		for _, p := range problems {
			if p.Severity == Error {
				r.Failure.At = p.Position
				break
			}
		}
	}
	for _, l := range report.Excerpt(r.Texts[r.Failure.At.File], r.Failure.At.Line) {
		r.Failure.Excerpt = append(r.Failure.Excerpt, Line(l))
	}
}

// Report is the record in short, for a screen and for the next boot.
func (r *Record) Report(boot string) report.Report {
	out := report.Report{Phase: "provision", Boot: boot, Took: time.Duration(r.DurationUS) * time.Microsecond}
	if r.Provided || r.Failure != nil {
		out.Source = r.Source
	}
	for _, s := range r.Steps {
		switch s.Outcome {
		case Done:
			out.Done++
			out.Last = append(out.Last, s.Did)
		case Kept:
			out.Kept++
		case Pending:
			out.Pending++
		}
	}
	if f := r.Failure; f != nil {
		out.Failed, out.Sentence, out.At = true, f.Sentence, f.At.String()
		out.Mark, out.Column = f.At.Line, f.At.Column
		for _, l := range f.Excerpt {
			out.Excerpt = append(out.Excerpt, report.Line(l))
		}
		return out.Bound()
	}
	out.Sentence = out.Short()
	return out.Bound()
}

// Encode is the record as JSON.
func (r *Record) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encoding the record: %w", err)
	}
	return append(data, '\n'), nil
}

// DecodeRecord reads what Encode wrote.
func DecodeRecord(data []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("reading the record of provisioning: %w", err)
	}
	return &r, nil
}

// Words is the record for people: the outcome first, then the steps.
func (r *Record) Words() string {
	var b strings.Builder
	took := time.Duration(r.DurationUS) * time.Microsecond
	switch {
	case r.Failure != nil:
		fmt.Fprintf(&b, "Provisioning failed after %s.\n%s\n", took.Round(time.Millisecond), r.Failure.Sentence)
	case !r.Provided:
		fmt.Fprintf(&b, "There was no config (platform %s).\n", r.Platform)
	default:
		fmt.Fprintf(&b, "Provisioned from %s in %s.\n", r.Source, took.Round(time.Millisecond))
	}
	var rows [][]string
	for _, s := range r.Steps {
		took := (time.Duration(s.DurationUS) * time.Microsecond).String()
		rows = append(rows, []string{string(s.Outcome), place(s.At), s.Describe, took})
	}
	WriteTable(&b, rows)
	for _, p := range r.Problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}
