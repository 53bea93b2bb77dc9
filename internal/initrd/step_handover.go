//go:build linux

package initrd

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
)

const kernelFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// kernelMounts are file systems of the kernel that systemd would mount by one
// program each, at the time when it has most to do.
var kernelMounts = []struct {
	unit  string
	mount mount.Mount
}{
	{"dev-hugepages.mount", mount.Mount{Source: "hugetlbfs", Target: "/dev/hugepages", Type: "hugetlbfs", Flags: unix.MS_NOSUID | unix.MS_NODEV}},
	{"dev-mqueue.mount", mount.Mount{Source: "mqueue", Target: "/dev/mqueue", Type: "mqueue", Flags: kernelFlags}},
	{"sys-kernel-debug.mount", mount.Mount{Source: "debugfs", Target: "/sys/kernel/debug", Type: "debugfs", Flags: kernelFlags}},
	{"sys-kernel-tracing.mount", mount.Mount{Source: "tracefs", Target: "/sys/kernel/tracing", Type: "tracefs", Flags: kernelFlags}},
	{"sys-fs-fuse-connections.mount", mount.Mount{Source: "fusectl", Target: "/sys/fs/fuse/connections", Type: "fusectl", Flags: kernelFlags}},
}

// handOver leaves the initrd for the system.
func (b *boot) handOver(ctx context.Context) error {
	b.takeDownNetwork(ctx)
	for _, k := range kernelMounts {
		b.mountForSystem(k.unit, k.mount)
	}
	return b.m.HandOver(sysroot)
}

// mountForSystem mounts what a unit is for, unless the machine has a unit of
// its own of that name, a mask for instance. What cannot be mounted is left
// to the unit.
func (b *boot) mountForSystem(unit string, m mount.Mount) {
	if _, err := os.Lstat(b.m.path(etcDir + "/systemd/system/" + unit)); err == nil {
		return
	}
	if err := b.m.Mount(m); err != nil {
		b.m.Log(kmsg.Info, "%s is left to the system: %v", unit, err)
	}
}
