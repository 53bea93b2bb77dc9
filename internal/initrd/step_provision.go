//go:build linux

package initrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/kmsg"
)

const (
	provisioner = "/usr/bin/wellcard"
	earlyOEM    = "/run/wellcar/oem"

	// Where the provisioner leaves the config, and the wishes for a network and
	// for a restart.
	configCache = "/run/ignition.json"
	needNetwork = "/run/ignition/neednet"
	wantRestart = "/run/ignition/restart"
)

// configure finds the configuration of a first boot and carries out what
// comes before the root file system: kernel arguments and disks. The network
// is brought up only if the configuration asks for it.
func (b *boot) configure(ctx context.Context) error {
	if !b.first.Run {
		return nil
	}
	args := []string{}
	if b.esp.Path != "" {
		b.modules.all(fatModules)
		args = append(args, "--esp", b.esp.Path)
	}
	if b.mountOEMAt(earlyOEM, unix.MS_RDONLY) {
		args = append(args, "--oem", earlyOEM)
		defer b.unmountEarlyOEM()
	}
	if err := b.stages(ctx, "fetch-offline,fetch,kargs,disks", args...); err != nil {
		return err
	}
	needed := b.exists(needNetwork)
	if !needed && !b.opts.NeedNetwork {
		return nil
	}
	if err := b.bringUpNetwork(ctx); err != nil {
		return fmt.Errorf("bringing up the network that the configuration needs: %w", err)
	}
	if !needed {
		return nil
	}
	rest := "fetch,kargs,disks"
	if b.exists(configCache) {
		rest = "kargs,disks"
	}
	return b.stages(ctx, rest, args...)
}

func (b *boot) exists(path string) bool {
	_, err := os.Stat(b.m.path(path))
	return err == nil
}

// unmountEarlyOEM makes way for the mount that the system sees.
func (b *boot) unmountEarlyOEM() {
	if err := b.m.Unmount(earlyOEM); err != nil {
		b.m.Log(kmsg.Warning, "%v", err)
	}
}

// stages runs the provisioner.
func (b *boot) stages(ctx context.Context, stages string, args ...string) error {
	words := append([]string{provisioner, "provision", "--root", sysroot, "--platform", b.opts.Platform, "--stage", stages}, args...)
	err := b.command(ctx, 0, words...)
	if failed := (*CommandError)(nil); errors.As(err, &failed) && failed.Last != "" {
		return fmt.Errorf("provisioning: %s", failed.Last)
	}
	if err != nil {
		return fmt.Errorf("provisioning: %w", err)
	}
	if b.exists(wantRestart) {
		return errRestart
	}
	return nil
}

// provision carries out the rest of the configuration on a first boot, and
// deletes from the EFI system partition what is done with: the flag and an old
// failure.
func (b *boot) provision(ctx context.Context) error {
	if b.first.Run {
		if err := b.stages(ctx, "mount,files,umount"); err != nil {
			return err
		}
		if r, ok := b.provisionReport(); ok {
			b.m.Log(kmsg.Info, "%s", r.Short())
		}
	}
	if !b.first.Unflag && !b.oldFailure {
		return nil
	}
	if err := b.changeESP(b.tidyESP); err != nil {
		b.m.Log(kmsg.Error, "tidying the EFI system partition: %v; first boot comes again: %v", err, b.first.Unflag)
	}
	return nil
}

func (b *boot) tidyESP(dir string) error {
	doomed := []string{lastFailure, lastReport}
	if b.first.Unflag {
		doomed = append(doomed, layout.FirstBootFlags...)
	}
	var errs []error
	for _, name := range doomed {
		errs = append(errs, ignoreMissing(os.Remove(filepath.Join(dir, name))))
	}
	return errors.Join(errs...)
}
