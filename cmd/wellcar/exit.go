package main

import (
	"context"
	"errors"
	"fmt"
)

// The exit statuses of every verb.
const (
	exitOK        = 0
	exitFailed    = 1   // the work could not be done
	exitUsage     = 2   // the command line is wrong
	exitDiffers   = 3   // the work was done and the answer is no: a test failed, images differ
	exitMachine   = 4   // a virtual machine did not start or did not become ready
	exitInterrupt = 130 // Ctrl-C
)

// exitHelp stands at the end of each verb's help.
const exitHelp = `
Exit status: 0 done; 1 failed; 2 wrong command line; 3 done, and the answer is
no (a test failed, images differ); 4 a machine did not start or get ready;
130 interrupted.`

// exitError is an error that decides the exit status. A nil cause says
// nothing more than the status.
type exitError struct {
	code  int
	cause error
}

func (e exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.cause.Error()
}

func (e exitError) Unwrap() error { return e.cause }

// withCode gives an error an exit status; nil stays nil, and a status that it
// has already stays too.
func withCode(code int, err error) error {
	var e exitError
	if err == nil || errors.As(err, &e) {
		return err
	}
	return exitError{code, err}
}

// exitCode is the status for an error of a verb.
func exitCode(ctx context.Context, err error) int {
	var e exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e) && e.cause == nil:
		return e.code
	case ctx.Err() != nil:
		return exitInterrupt
	case errors.As(err, &e):
		return e.code
	}
	return exitFailed
}
