//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"

	"wellcar.dev/internal/provision"
)

func runReport(_ context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("report", flag.ContinueOnError)
	f.SetOutput(errOut)
	record := f.String("record", provision.RecordFile, "`file` that records what was done")
	asJSON := f.Bool("json", false, "print the record as it is")
	if err := parse(f, args); err != nil {
		return err
	}
	data, err := os.ReadFile(*record)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(out, "This boot provisioned nothing: it was not the machine's first.")
		return nil
	}
	if err != nil {
		return err
	}
	if *asJSON {
		_, err := out.Write(data)
		return err
	}
	rec, err := provision.DecodeRecord(data)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, rec.Words())
	return err
}
