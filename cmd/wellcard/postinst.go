//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/sys/efivar"
	"wellcar.dev/internal/update/takeover"
)

const postinstUsage = `Usage: postinst DEVICE KERNEL=FILE

Moves a machine with Flatcar or CoreOS Container Linux to this system. Their
update_engine calls it after it wrote the payload into the slot DEVICE and the
kernel into FILE on the EFI system partition.
`

// runPostinst is what update_engine of another system runs.
func runPostinst(_ context.Context, args []string, out, errOut io.Writer) error {
	kernel := ""
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "KERNEL="); ok {
			kernel = v
		}
	}
	if len(args) < 2 || kernel == "" {
		fmt.Fprint(errOut, postinstUsage)
		return errUsage
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the files of the payload: %w", err)
	}
	err = takeover.Convert(takeover.Machine{Root: "/", Device: args[0], Kernel: kernel, Files: filepath.Dir(self), Vars: efivar.Vars{Dir: efivar.Dir},
		Logf: func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }})
	if err != nil {
		return err
	}
	mark, err := os.Create("/run/reboot-required")
	if err == nil {
		err = mark.Close()
	}
	fmt.Fprintln(out, "the new system starts with the next reboot, once; it stays if it proves itself")
	return errors.Join(err)
}
