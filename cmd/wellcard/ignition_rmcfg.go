//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"

	"wellcar.dev/internal/provision/platform"
)

// runIgnitionRmcfg deletes the user's config from where the platform keeps it.
func runIgnitionRmcfg(ctx context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("ignition-rmcfg", flag.ContinueOnError)
	f.SetOutput(errOut)
	id := f.String("platform", "", "current platform")
	toStdout := f.Bool("log-to-stdout", false, "log to stdout instead of the journal")
	version := f.Bool("version", false, "print the version and exit")
	if err := parse(f, args); err != nil {
		return err
	}
	if *version {
		fmt.Fprintln(out, ignitionVersion)
		return nil
	}
	if !slices.Contains(platform.IDs(), *id) {
		fmt.Fprintln(errOut, "'--platform' must be provided, as one that is known")
		return errUsage
	}
	log, closeLog := openLog(out, *toStdout)
	defer closeLog()
	p := &provisioning{platform: *id, oem: "/oem", log: log, timeout: fetchTimeout}
	if err := platform.Forget(ctx, *id, p.env(false)); err != nil {
		log.tell(critical, "couldn't delete config: "+err.Error())
		return exitCode(codeFailed)
	}
	log.tell(info, "Successfully deleted config")
	return nil
}
