package storage

import (
	"context"
	"fmt"
	"os"
)

const udevControl = "/run/udev/control"

// runUdev lets udev look at all block devices, for the names that its rules
// make up. Where none runs one is started and ended again: it would hold
// devices open while they are changed.
func (m *Machine) runUdev(ctx context.Context) error {
	if _, err := os.Stat(udevControl); err == nil {
		_, err := m.Run(ctx, "udevadm", "settle")
		return err
	}
	steps := [][]string{
		{"/usr/lib/systemd/systemd-udevd", "--daemon", "--resolve-names=never"},
		// The rules of mdadm then put no arrays together, whose parts may be about
		// to be overwritten (64-md-raid-assembly.rules).
		{"udevadm", "control", "--property=ANACONDA=1"},
		{"udevadm", "trigger", "--action=add", "--subsystem-match=block", "--settle"},
		{"udevadm", "control", "--exit"},
	}
	for _, words := range steps {
		if _, err := m.Run(ctx, words[0], words[1:]...); err != nil {
			return fmt.Errorf("letting udev name the disks: %w", err)
		}
	}
	_ = os.Remove(udevControl) // or programs take udev for running
	return nil
}
