// Package commandtest is a command.Runner that runs nothing: it records what
// it was asked to run and gives prepared answers.
package commandtest

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"sync"

	"wellcar.dev/internal/sys/command"
)

// Answer is what a program is made to do.
type Answer struct {
	Stdout string
	Stderr string
	Status int   // not 0: the run is an error
	Err    error // the cause of the error; nil means one that names the status
}

// Recorder records runs; its method Run is a command.Runner. The zero value
// lets every program succeed in silence. It is safe for concurrent use.
type Recorder struct {
	// Answers by command line prefix: "mkfs.ext4" or "sfdisk --json /dev/vda".
	// The program counts by its base name; the longest match wins.
	Answers map[string]Answer

	mu   sync.Mutex
	runs []Run
}

// Run is one run.
type Run struct {
	Line  string // "sfdisk --json /dev/vda": base name and arguments
	Stdin string
	Cmd   command.Cmd
}

// Run answers a command.
func (r *Recorder) Run(ctx context.Context, c command.Cmd) (command.Result, error) {
	run := Run{Line: strings.Join(append([]string{path.Base(c.Path)}, c.Args...), " "), Cmd: c}
	if c.Stdin != nil {
		in, err := io.ReadAll(c.Stdin)
		if err != nil {
			return command.Result{Status: -1}, &command.Error{Cmd: c, Err: err}
		}
		run.Stdin = string(in)
	}
	r.mu.Lock()
	r.runs = append(r.runs, run)
	a := r.answer(run.Line)
	r.mu.Unlock()
	res := command.Result{Stdout: []byte(a.Stdout), Stderr: []byte(a.Stderr), Status: a.Status}
	if err := ctx.Err(); err != nil {
		return res, &command.Error{Cmd: c, Result: res, Err: err}
	}
	if a.Status == 0 && a.Err == nil {
		return res, nil
	}
	if a.Err == nil {
		a.Err = errors.New("made to fail")
	}
	return res, &command.Error{Cmd: c, Result: res, Err: a.Err}
}

func (r *Recorder) answer(line string) Answer {
	best := ""
	for prefix := range r.Answers {
		if (line == prefix || strings.HasPrefix(line, prefix+" ")) && len(prefix) > len(best) {
			best = prefix
		}
	}
	return r.Answers[best]
}

// Runs returns all runs so far, in order.
func (r *Recorder) Runs() []Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Run(nil), r.runs...)
}

// Lines returns the command lines of all runs so far, in order.
func (r *Recorder) Lines() []string {
	var lines []string
	for _, run := range r.Runs() {
		lines = append(lines, run.Line)
	}
	return lines
}
