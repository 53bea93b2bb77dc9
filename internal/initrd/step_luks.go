//go:build linux

package initrd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"wellcar.dev/internal/sys/kmsg"
)

// openedRoot is the name in device-mapper of an encrypted root, which
// administrators know.
const openedRoot = "rootencrypted"

// openRoot opens the encrypted root with what it was bound to: the TPM or
// Tang by Clevis, or the TPM by systemd-cryptenroll.
func (b *boot) openRoot(ctx context.Context, v Volume) error {
	tokens, err := b.tokens(ctx, v.Device.Path)
	if err != nil {
		return err
	}
	// Absent on most machines, and then no error: opening tells what is missing.
	_ = b.modprobe(ctx, "tpm_tis", "tpm_crb")
	var errs []error
	if slices.Contains(tokens, "systemd-tpm2") {
		err := b.command(ctx, 0, "/usr/bin/systemd-cryptsetup", "attach", openedRoot, v.Device.Path, "none", "luks,tpm2-device=auto,headless=true")
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if slices.Contains(tokens, "clevis") {
		err := b.openByClevis(ctx, v)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("it is bound neither to a TPM nor by Clevis, so nothing can open it at boot"))
	}
	return fmt.Errorf("opening the encrypted root file system on %s: %w", v.Device.Name, errors.Join(errs...))
}

// openByClevis brings the network up if the volume does not open without.
func (b *boot) openByClevis(ctx context.Context, v Volume) error {
	open := func() error {
		return b.command(ctx, 0, "/usr/bin/clevis", "luks", "unlock", "-d", v.Device.Path, "-n", openedRoot)
	}
	pins, err := b.output(ctx, "/usr/bin/clevis", "luks", "list", "-d", v.Device.Path)
	if err != nil {
		return err
	}
	if !strings.Contains(strings.Join(pins, " "), "tang") {
		return open()
	}
	if err := b.bringUpNetwork(ctx); err != nil {
		b.m.Log(kmsg.Warning, "no network for Tang: %v", err)
	}
	return open()
}

// tokens are the kinds of token in the header of a volume.
func (b *boot) tokens(ctx context.Context, device string) ([]string, error) {
	lines, err := b.output(ctx, "/usr/sbin/cryptsetup", "luksDump", device)
	if err != nil {
		return nil, err
	}
	return parseTokens(lines), nil
}

// parseTokens reads the section of luksDump with lines like "  0: clevis".
func parseTokens(lines []string) (kinds []string) {
	within := false
	for _, line := range lines {
		indented := strings.TrimLeft(line, " \t") != line
		switch id, kind, ok := strings.Cut(strings.TrimSpace(line), ":"); {
		case !indented:
			within = strings.HasPrefix(line, "Tokens:")
		case within && ok:
			if _, err := strconv.Atoi(id); err == nil {
				kinds = append(kinds, strings.TrimSpace(kind))
			}
		}
	}
	return kinds
}

// output runs a program of /usr and returns the lines that it prints.
func (b *boot) output(ctx context.Context, words ...string) ([]string, error) {
	var lines []string
	status, err := b.m.Run(ctx, func(line string) { lines = append(lines, line) }, words[0], words[1:]...)
	name := filepath.Base(words[0])
	if err != nil {
		return nil, fmt.Errorf("running %s: %w", name, err)
	}
	if status != 0 {
		last := ""
		if len(lines) > 0 {
			last = strings.TrimSpace(lines[len(lines)-1])
		}
		return nil, &CommandError{Name: name, Status: status, Last: last}
	}
	return lines, nil
}
