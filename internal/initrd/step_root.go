//go:build linux

package initrd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/bootargs"
	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
)

// deviceWait is how long the root file system may take to appear.
const deviceWait = 60 * time.Second

const (
	sysroot    = "/sysroot"
	espDir     = "/run/wellcar/esp"
	espFlags   = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	espOptions = "umask=0077"
)

// readESP reads the first-boot flag and the reason of an earlier failure. An
// EFI system partition that cannot be read is reported and taken as one
// without a flag.
func (b *boot) readESP(context.Context) error {
	flag, err := b.lookAtESP()
	b.first = DecideFirstBoot(b.opts.FirstBoot, flag)
	if err != nil {
		name := strings.Join(strings.Fields("the EFI system partition "+b.esp.Name), " ")
		b.m.Log(kmsg.Error, "%s is unreadable: %v; going on, first boot: %v", name, err, b.first.Run)
	}
	if b.first.Run {
		b.m.Log(kmsg.Info, "first boot: %s", b.first.Why)
	}
	return b.followSettings()
}

// lookAtESP reads without a mount: that spares an ordinary boot the drivers
// of FAT, and nothing is in use if the firmware's disk is a strange one.
func (b *boot) lookAtESP() (flag bool, err error) {
	if b.esp.Path == "" {
		return false, fmt.Errorf("%s has none", b.disk.Name)
	}
	f, err := b.m.OpenDevice(b.esp.Path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	files, err := fat.Open(f)
	if err != nil {
		return false, err
	}
	for _, name := range layout.FirstBootFlags {
		_, err := files.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		flag = flag || err == nil
	}
	b.noteTrial(files)
	if addOn, err := files.ReadFile(layout.KernelAddOn); err == nil {
		b.addedWords = bootargs.Line(addOn)
	} // one that cannot be read is made anew
	reason, err := files.ReadFile(lastFailure)
	if err != nil {
		return flag, ignoreMissing(err)
	}
	b.oldFailure = true
	b.m.Log(kmsg.Warning, "the boot before this one failed: %s", strings.TrimSpace(string(reason)))
	if report, err := files.ReadFile(lastReport); err == nil {
		if err := os.WriteFile(b.m.path("/run/"+lastReport), report, 0o644); err != nil {
			return flag, err
		}
	}
	return flag, os.WriteFile(b.m.path("/run/"+lastFailure), reason, 0o644)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// mountRoot mounts the root file system at /sysroot, making one first where
// there is none, and puts /usr into it.
func (b *boot) mountRoot(ctx context.Context) error {
	plan, err := b.findRoot(ctx)
	if err != nil {
		return err
	}
	if err := b.mountPlan(ctx, plan); err != nil {
		return err
	}
	b.tellUdev()
	if err := b.resetRoot(); err != nil {
		return err
	}
	if err := makeSkeleton(b.m.path(sysroot)); err != nil {
		return err
	}
	return b.m.Mount(mount.Bind(usrDir, sysroot+usrDir))
}

// volumes looks at what is on all block devices.
func (b *boot) volumes() ([]Volume, error) {
	devices, err := b.m.Devices()
	if err != nil {
		return nil, err
	}
	var out []Volume
	types := b.partitionTypes(devices)
	for _, d := range devices {
		partitioned := slices.ContainsFunc(devices, func(p blockdev.Device) bool { return p.Disk == d.Name })
		if partitioned || d.Name == b.slot.Device.Name {
			continue
		}
		v, err := b.volume(d)
		if err != nil {
			b.m.Log(kmsg.Warning, "%s: %v", d.Name, err)
			continue
		}
		v.Type, v.Used = types[d.Name], b.held(d)
		out = append(out, v)
	}
	return out, nil
}

// blankSize is how much of the ROOT partition must be zeros for it to be blank.
const blankSize = 1 << 20

func (b *boot) volume(d blockdev.Device) (Volume, error) {
	f, err := b.m.OpenDevice(d.Path)
	if err != nil {
		return Volume{}, err
	}
	defer f.Close()
	info, err := probe.Identify(f, d.Size)
	if err != nil {
		return Volume{}, err
	}
	v := Volume{Device: d, Info: info}
	if info.Type == "" {
		size := int64(4096) // enough for a message
		if d.Partition == layout.Root {
			size = blankSize
		}
		head := make([]byte, min(size, d.Size))
		if _, err := f.ReadAt(head, 0); err != nil {
			return Volume{}, err
		}
		v.Blank = isZero(head)
	}
	return v, nil
}

func (b *boot) mountPlan(ctx context.Context, plan RootPlan) error {
	flags, data := mount.ParseOptions(b.opts.RootFlags)
	if plan.Memory {
		return b.m.Mount(mount.Mount{Source: "root", Target: sysroot, Type: "tmpfs", Flags: flags, Data: join(data, "mode=0755")})
	}
	dev := plan.Volume.Device
	m := mount.Mount{Source: b.named(dev), Target: sysroot, Type: plan.Volume.Info.Type, Flags: flags, Data: data}
	if plan.Create {
		if !b.first.Run {
			b.m.Log(kmsg.Warning, "there is no root file system: making a new one on %s; the configuration is applied only on a first boot (flatcar.first_boot=1)", dev.Name)
		}
		m.Type = "ext4"
		if err := b.command(ctx, 0, makeRoot(dev.Path)...); err != nil {
			return fmt.Errorf("making the root file system: %w", err)
		}
		return b.m.Mount(m)
	}
	b.modules.one(m.Type)
	if err := b.mountChecked(ctx, m); err != nil {
		return err
	}
	b.growRoot(ctx, m, dev)
	return nil
}

// mountChecked mounts a file system, after a check where it is marked as
// damaged or refuses.
func (b *boot) mountChecked(ctx context.Context, m mount.Mount) error {
	if m.Type != "ext4" {
		return b.m.Mount(m)
	}
	head, err := b.head(m.Source)
	if err != nil {
		return err
	}
	if needsCheck(head) {
		b.m.Log(kmsg.Warning, "%s is marked as damaged: checking it", m.Source)
		if err := b.checkExt4(ctx, m.Source); err != nil {
			return err
		}
		return b.m.Mount(m)
	}
	refused := b.m.Mount(m)
	if refused == nil {
		return nil
	}
	b.m.Log(kmsg.Warning, "%v: checking it", refused)
	if err := b.checkExt4(ctx, m.Source); err != nil {
		return fmt.Errorf("%w, after %w", err, refused)
	}
	return b.m.Mount(m)
}

// checkExt4 repairs what can be repaired without questions. Exit status 1 is
// "repaired", 2 "repaired, reboot if it was mounted" (e2fsck(8)).
func (b *boot) checkExt4(ctx context.Context, device string) error {
	err := b.command(ctx, 2, "/usr/sbin/fsck.ext4", "-p", device)
	if failed := (*CommandError)(nil); errors.As(err, &failed) {
		failed.Last = "" // advice about options, of no use in a sentence
	}
	if err != nil {
		return fmt.Errorf("the root file system on %s is damaged beyond automatic repair: %w", device, err)
	}
	return nil
}

// worthGrowing is the least room, in bytes, that a file system is grown for.
const worthGrowing = 16 << 20

// growRoot lets the file system fill its partition. A failure is reported:
// the machine works with less room.
func (b *boot) growRoot(ctx context.Context, m mount.Mount, dev blockdev.Device) {
	var err error
	switch m.Type {
	case "ext4":
		err = b.growExt4(dev)
	case "xfs":
		if b.rootGrew && b.onROOT(dev) {
			err = b.command(ctx, 0, "/usr/sbin/xfs_growfs", sysroot)
		}
	case "btrfs":
		if b.rootGrew && b.onROOT(dev) {
			err = b.command(ctx, 0, "/usr/bin/btrfs", "filesystem", "resize", "max", sysroot)
		}
	}
	if err != nil {
		b.m.Log(kmsg.Error, "the root file system keeps its size: %v", err)
	}
}

// onROOT tells whether a device is partition 9 of the system's disk, or the
// encrypted volume on it.
func (b *boot) onROOT(dev blockdev.Device) bool {
	return dev.Disk == b.disk.Name && dev.Partition == layout.Root || dev.IsDisk() && b.openedROOT
}

func (b *boot) growExt4(dev blockdev.Device) error {
	if !b.onROOT(dev) {
		return nil
	}
	head, err := b.head(dev.Path)
	if err != nil {
		return err
	}
	devices, err := b.m.Devices() // the size may have changed since
	if err != nil {
		return err
	}
	i := slices.IndexFunc(devices, func(d blockdev.Device) bool { return d.Name == dev.Name })
	if i < 0 {
		return fmt.Errorf("%s has gone", dev.Name)
	}
	now := devices[i]
	if now.Size-ext4Size(head) < worthGrowing {
		return nil
	}
	if err := b.m.GrowExt4(sysroot, now.Size); err != nil {
		return err
	}
	b.m.Log(kmsg.Info, "%s: file system grown from %d to %d MiB", dev.Name, ext4Size(head)>>20, now.Size>>20)
	return nil
}

// head reads the start of a device, which has the superblock of an ext4.
func (b *boot) head(path string) ([]byte, error) {
	f, err := b.m.OpenDevice(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 4096)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("reading the superblock of %s: %w", path, err)
	}
	return head, nil
}

// identifiers are the names under which programs are logged, where it is not
// their own. Users look for provisioning with `journalctl -t ignition`.
var identifiers = map[string]string{"wellcard": "ignition"}

// command runs a program of /usr; an exit status above ok is an error that
// carries the last line printed.
func (b *boot) command(ctx context.Context, ok int, words ...string) error {
	return b.commandHeard(ctx, ok, func(string) {}, words...)
}

// commandHeard is command for somebody who wants to hear each line.
func (b *boot) commandHeard(ctx context.Context, ok int, hear func(string), words ...string) error {
	name := filepath.Base(words[0])
	last := ""
	status, err := b.m.Run(ctx, func(line string) {
		if line = strings.TrimSpace(line); line == "" {
			return
		}
		last = line
		b.m.Quote(cmp.Or(identifiers[name], name), line)
		hear(line)
	}, words[0], words[1:]...)
	if err != nil {
		return fmt.Errorf("running %s: %w", name, err)
	}
	if status > ok {
		return &CommandError{Name: name, Status: status, Last: last}
	}
	return nil
}

// CommandError is a command's end with a status that means failure.
type CommandError struct {
	Name   string
	Status int
	Last   string // line that it printed
}

func (e *CommandError) Error() string {
	if e.Last == "" {
		return fmt.Sprintf("%s ended with status %d", e.Name, e.Status)
	}
	return fmt.Sprintf("%s ended with status %d: %s", e.Name, e.Status, e.Last)
}

func join(options ...string) string {
	return strings.Join(slices.DeleteFunc(options, func(s string) bool { return s == "" }), ",")
}
