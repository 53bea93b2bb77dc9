//go:build linux

package main

import (
	"context"
	"flag"
	"io"

	"wellcar.dev/internal/update"
)

// runStatus explains what runs, what starts next and why.
func runStatus(_ context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("status", flag.ContinueOnError)
	f.SetOutput(errOut)
	forget := f.String("forget", "", "let a `version` be installed again that was given up")
	if err := parse(f, args); err != nil {
		return err
	}
	if *forget != "" {
		return update.ForgetBad("/", *forget)
	}
	facts, err := update.ReadFacts("/", machineBoot())
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, facts.Explain())
	return err
}

// machineBoot is the slots and kernels of this machine.
func machineBoot() update.Boot {
	return update.Boot{ESP: update.ESP{Dir: "/boot"}, Root: "/"}
}
