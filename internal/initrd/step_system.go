//go:build linux

package initrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
)

const (
	shippedEtc  = sysroot + "/usr/share/flatcar/etc"
	etcDir      = sysroot + "/etc"
	etcWork     = sysroot + "/.etc-work"
	oemDir      = sysroot + "/oem"
	provisioner = "/usr/bin/wellcard"
)

// mountEtc lays /etc of the root file system over the shipped one. An image
// without a shipped /etc is a broken one, but boots with what there is.
func (b *boot) mountEtc(context.Context) error {
	if err := removeBlankMachineID(b.m.path(etcDir)); err != nil {
		b.m.Log(kmsg.Error, "%v", err)
	}
	removed, err := CleanEtc(b.m.path(etcDir), b.m.path(shippedEtc))
	if err != nil {
		b.m.Log(kmsg.Error, "%v", err)
	}
	if len(removed) > 0 {
		b.m.Log(kmsg.Info, "/etc: %d entries follow the shipped ones again", len(removed))
	}
	return b.m.Mount(mount.Mount{Source: "etc", Target: etcDir, Type: "overlay", Data: join(
		"lowerdir="+shippedEtc, "upperdir="+etcDir, "workdir="+etcWork, "redirect_dir=on", "metacopy=off")})
}

// mountOEM mounts partition 6 of the system's disk. Without it the machine
// boots, as one without a vendor's files.
func (b *boot) mountOEM(context.Context) error {
	devices, err := b.m.Devices()
	if err != nil {
		return err
	}
	dev, ok := partition(devices, b.disk.Name, layout.OEM)
	if !ok {
		b.m.Log(kmsg.Warning, "/oem: %s has no partition %d", b.disk.Name, layout.OEM)
		return nil
	}
	v, err := b.volume(dev)
	if err == nil && v.Info.Type == "" {
		err = fmt.Errorf("no file system on %s", dev.Name)
	}
	if err == nil {
		b.modules.one(v.Info.Type)
		err = b.m.Mount(mount.Mount{Source: dev.Path, Target: oemDir, Type: v.Info.Type})
	}
	if err != nil {
		b.m.Log(kmsg.Error, "/oem is not available: %v", err)
	}
	return nil
}

// provision applies the configuration on a first boot, and deletes from the
// EFI system partition what is done with: the flag and an old failure.
func (b *boot) provision(ctx context.Context) error {
	if b.first.Run {
		err := b.command(ctx, 0, provisioner, "provision", "--root", sysroot, "--platform", b.opts.Platform)
		if failed := (*CommandError)(nil); errors.As(err, &failed) && failed.Last != "" {
			return fmt.Errorf("provisioning: %s", failed.Last)
		}
		if err != nil {
			return fmt.Errorf("provisioning: %w", err)
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
	doomed := []string{lastFailure}
	if b.first.Unflag {
		doomed = append(doomed, layout.FirstBootFlags...)
	}
	var errs []error
	for _, name := range doomed {
		errs = append(errs, ignoreMissing(os.Remove(filepath.Join(dir, name))))
	}
	return errors.Join(errs...)
}
