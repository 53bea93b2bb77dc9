//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

// runKargsHelper is the program that Ignition calls for the kernel
// arguments.
func runKargsHelper(ctx context.Context, args []string, out, errOut io.Writer) error {
	var add, remove []string
	f := flag.NewFlagSet("ignition-kargs-helper", flag.ContinueOnError)
	f.SetOutput(errOut)
	to := func(list *[]string) func(string) error {
		return func(item string) error { *list = append(*list, item); return nil }
	}
	f.Func("should-exist", "`words` to have (repeatable)", to(&add))
	f.Func("should-not-exist", "`words` not to have (repeatable)", to(&remove))
	if err := parse(f, args); err != nil {
		return err
	}
	if len(add)+len(remove) == 0 {
		return nil
	}
	line := bootedLine()
	if line == nil {
		return errors.New("changing the kernel arguments: this machine has no " + espNode)
	}
	restart, err := line.Change(ctx, add, remove)
	if err != nil {
		return fmt.Errorf("changing the kernel arguments: %w", err)
	}
	if !restart {
		return nil
	}
	fmt.Fprintln(out, "restarting for the kernel arguments")
	_, err = output(ctx, "/usr/bin/systemctl", "reboot")
	return err
}
