//go:build linux

package initrd

import (
	"context"
	"fmt"
	"strings"

	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
)

const (
	shippedEtc = sysroot + "/" + layout.ShippedEtc
	etcDir     = sysroot + "/etc"
	etcWork    = sysroot + "/.etc-work"
	oemDir     = sysroot + "/oem"

	accountsDir = sysroot + "/var/lib/wellcar/accounts" // names that the last release had
)

// mountEtc lays /etc of the root file system over the shipped one. An image
// without a shipped /etc is a broken one, but boots with what there is.
func (b *boot) mountEtc(context.Context) error {
	if err := removeBlankMachineID(b.m.path(etcDir)); err != nil {
		b.m.Log(kmsg.Error, "%v", err)
	}
	added, err := FollowAccounts(b.m.path(etcDir), b.m.path(shippedEtc), b.m.path(accountsDir))
	if err != nil {
		b.m.Log(kmsg.Error, "%v", err)
	}
	if len(added) > 0 {
		b.m.Log(kmsg.Info, "/etc: accounts of this release added: %s", strings.Join(added, ", "))
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
	b.mountOEMAt(oemDir, 0)
	return nil
}

// mountOEMAt tells whether there is an OEM partition that could be mounted.
func (b *boot) mountOEMAt(dir string, flags uintptr) bool {
	dev, info, err := b.oem()
	if err == nil {
		b.modules.one(info.Type)
		err = b.m.Mount(mount.Mount{Source: dev.Path, Target: dir, Type: info.Type, Flags: flags})
	}
	if err != nil {
		b.m.Log(kmsg.Error, "/oem is not available: %v", err)
	}
	return err == nil
}

func (b *boot) oem() (blockdev.Device, probe.Info, error) {
	devices, err := b.m.Devices()
	if err != nil {
		return blockdev.Device{}, probe.Info{}, err
	}
	dev, ok := partition(devices, b.disk.Name, layout.OEM)
	if !ok {
		return dev, probe.Info{}, fmt.Errorf("%s has no partition %d", b.disk.Name, layout.OEM)
	}
	v, err := b.volume(dev)
	if err == nil && v.Info.Type == "" {
		err = fmt.Errorf("no file system on %s", dev.Name)
	}
	return dev, v.Info, err
}
