// Package command runs programs and reports what went wrong in one error.
//
// Code that runs programs takes a [Runner], which is [Exec] in earnest and
// commandtest.Recorder in tests.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Cmd is a program to run.
type Cmd struct {
	Path  string   // a path, or a name that is searched in $PATH
	Args  []string // without the program's name
	Env   []string // "NAME=value"; nil means the caller's environment
	Stdin io.Reader
	Dir   string // working directory; "" means the caller's
}

// String is the command line as one could type it in a shell.
func (c Cmd) String() string {
	words := []string{quote(c.Path)}
	for _, a := range c.Args {
		words = append(words, quote(a))
	}
	return strings.Join(words, " ")
}

func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,+@%", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Result is what a program wrote and how it ended.
type Result struct {
	Stdout, Stderr []byte
	Status         int // exit status; -1 if it did not start or a signal ended it
}

// Runner runs a program to its end. A program that does not start, is ended
// by a signal or exits with another status than 0 is an *Error; the result is
// filled in any case. When the context ends, the program is killed.
type Runner func(ctx context.Context, c Cmd) (Result, error)

// Error is a program that did not succeed.
type Error struct {
	Cmd    Cmd
	Result Result
	Err    error // the cause: *exec.ExitError, the context's error, ...
}

// stderrLines is how many of the last lines an error shows.
const stderrLines = 5

// Error gives the command line, how it ended and the last lines of stderr.
func (e *Error) Error() string {
	text := fmt.Sprintf("running %s: %v", e.Cmd, e.Err)
	lines := strings.Split(strings.TrimSpace(string(e.Result.Stderr)), "\n")
	if tail := lines[max(0, len(lines)-stderrLines):]; tail[0] != "" {
		text += ": " + strings.Join(tail, "; ")
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// grace is how long the output of a killed program is waited for, when a
// child of it keeps the pipe open.
const grace = 2 * time.Second

// Exec is the Runner that really runs.
func Exec(ctx context.Context, c Cmd) (Result, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env, cmd.Stdin, cmd.Dir, cmd.WaitDelay = c.Env, c.Stdin, c.Dir, grace
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Status: -1}
	if cmd.ProcessState != nil {
		r.Status = cmd.ProcessState.ExitCode()
	}
	if err == nil {
		return r, nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return r, &Error{Cmd: c, Result: r, Err: err}
}

// Status returns the exit status that an error of a Runner carries, and
// whether it carries one.
func Status(err error) (int, bool) {
	var e *Error
	if !errors.As(err, &e) || e.Result.Status < 0 {
		return 0, false
	}
	return e.Result.Status, true
}
