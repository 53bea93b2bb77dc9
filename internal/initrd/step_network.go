//go:build linux

package initrd

import (
	"context"
	"errors"
	"strings"

	"wellcar.dev/internal/sys/kmsg"
)

// bringUpNetwork makes the network ready that provisioning needs. Drivers and
// program come from the verified /usr.
func (b *boot) bringUpNetwork(ctx context.Context) error {
	b.network = true
	err := b.command(ctx, 0, provisioner, "network", "up")
	if failed := (*CommandError)(nil); errors.As(err, &failed) && failed.Last != "" {
		return errors.New(strings.TrimPrefix(failed.Last, "network: "))
	}
	return err
}

// takeDownNetwork leaves the interfaces to the system as the kernel made
// them.
func (b *boot) takeDownNetwork(ctx context.Context) {
	if !b.network {
		return
	}
	b.network = false
	if err := b.command(ctx, 0, provisioner, "network", "down"); err != nil {
		b.m.Log(kmsg.Warning, "taking down the network of the first boot: %v", err)
	}
}
