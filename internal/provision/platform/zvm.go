package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

// zvm receives a spool file from the virtual card reader.
type zvm struct{}

const cardReader = "000c"

// Fetch implements Source.
func (zvm) Fetch(ctx context.Context, env Env) (Found, error) {
	if env.Run == nil {
		return Found{}, missing("way to run programs")
	}
	if err := env.load("vmur"); err != nil {
		return Found{}, err
	}
	if err := env.cardReaderOn(ctx); err != nil {
		return Found{}, fmt.Errorf("switching the card reader %s on: %w", cardReader, err)
	}
	list, err := env.Run(ctx, "vmur", "li")
	if err != nil {
		return Found{}, fmt.Errorf("listing the card reader: %w", err)
	}
	id, name := spoolFile(string(list))
	if id == "" {
		return Found{Name: "card reader " + cardReader}, nil
	}
	data, err := env.Run(ctx, "vmur", "re", "-O", id)
	if err != nil {
		return Found{}, fmt.Errorf("receiving %s from the card reader: %w", name, err)
	}
	return Found{Name: "card reader " + name, Data: bytes.Trim(data, "\x00")}, nil
}

// cardReaderOn switches the device on; one on the list of ignored devices is
// taken off first.
func (env Env) cardReaderOn(ctx context.Context) error {
	_, err := env.Run(ctx, "chccwdev", "-e", cardReader)
	if err != nil {
		if _, ignored := env.Run(ctx, "cio_ignore", "-r", cardReader); ignored != nil {
			return errors.Join(err, ignored)
		}
		_, err = env.Run(ctx, "chccwdev", "-e", cardReader)
	}
	if err == nil {
		_, err = env.Run(ctx, "udevadm", "settle")
	}
	return err
}

// spoolFile finds the first file of type ign in the list of vmur, whose
// columns are ORIGINID FILE CLASS RECORDS CPY HOLD DATE TIME NAME TYPE DIST.
func spoolFile(list string) (id, name string) {
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) >= 11 && f[10] == "ign" {
			return f[1], f[9] + "." + f[10]
		}
	}
	return "", ""
}
