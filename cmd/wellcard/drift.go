//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/daytwo"
	"wellcar.dev/internal/sys/rootfs"
)

func runDrift(ctx context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("drift", flag.ContinueOnError)
	f.SetOutput(errOut)
	dir := f.String("root", "/", "`directory` that is the machine's root")
	asJSON := f.Bool("json", false, "print a list for programs")
	if err := parse(f, args); err != nil {
		return err
	}
	root, err := rootfs.Open(*dir, rootfs.Options{})
	if err != nil {
		return err
	}
	defer root.Close()
	target := provision.Target{Files: root, Run: root.Run}
	if *dir == "/" {
		target.Kernel = bootedLine()
	}
	config, any, err := loadApplied(target)
	if err != nil {
		return err
	}
	state, err := stateOf(ctx, target, config)
	if err != nil {
		return err
	}
	facts, err := daytwo.Gather(ctx, target, state)
	if err != nil {
		return err
	}
	if facts.Kernel, err = daytwo.NextLine(ctx, target, state); err != nil {
		return err
	}
	differences := daytwo.Drift(state, facts)
	switch {
	case *asJSON:
		if differences == nil {
			differences = []daytwo.Difference{}
		}
		return json.NewEncoder(out).Encode(differences)
	case !any:
		fmt.Fprintln(out, "No config was applied to this machine.")
	case len(differences) == 0:
		fmt.Fprintln(out, "The machine is as its config made it.")
	}
	var lines []placed
	for _, d := range differences {
		lines = append(lines, placed{d.At.String(), d.String()})
	}
	return writePlaced(out, lines)
}
