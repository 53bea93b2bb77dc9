//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"

	"wellcar.dev/internal/update"
)

// runStatus explains what runs, what starts next and why.
func runStatus(_ context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("status", flag.ContinueOnError)
	f.SetOutput(errOut)
	forget := f.String("forget", "", "let a `version` be installed again that was given up")
	asJSON := f.Bool("json", false, "print one JSON object")
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
	if *asJSON {
		return json.NewEncoder(out).Encode(facts.Summary())
	}
	_, err = io.WriteString(out, facts.Explain())
	return err
}

// machineBoot is the slots and kernels of this machine.
func machineBoot() update.Boot {
	return update.Boot{ESP: update.ESP{Dir: "/boot"}, Root: "/"}
}
