//go:build linux

package initrd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/dm"
	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
)

const (
	usrDir    = "/usr"
	usrDevice = "usr" // name in device-mapper, which administrators know

	modulesDir = "/lib/modules"     // those of the initrd until /usr is open
	usrModules = "/usr/lib/modules" // then all of them
)

var (
	typeUsr = gpt.MustGUID(layout.TypeUsr)
	typeESP = gpt.MustGUID(layout.TypeESP)
)

// findUsr waits for the disk that holds the /usr image.
func (b *boot) findUsr(ctx context.Context) error {
	return b.await(ctx, func() (bool, error) {
		devices, err := b.m.Devices()
		if err != nil {
			return true, err
		}
		var slots []Slot
		for _, disk := range devices {
			if disk.IsDisk() {
				slots = append(slots, b.slotsOf(disk, devices)...)
			}
		}
		b.slot, err = ChooseSlot(b.opts.UsrHash, slots)
		for _, d := range devices {
			if err == nil && d.Name == b.slot.Device.Disk {
				b.disk = d
			}
		}
		return false, err
	})
}

// slotsOf reads what the USR partitions of a disk hold. A disk without them
// has none.
func (b *boot) slotsOf(disk blockdev.Device, devices []blockdev.Device) []Slot {
	t, from, err := b.readTable(disk)
	if err != nil {
		if !errors.Is(err, gpt.ErrNone) {
			b.m.Log(kmsg.Warning, "%s: %v", disk.Name, err)
		}
		return nil
	}
	var slots []Slot
	missing := false
	for _, p := range t.Partitions {
		if p.Type != typeUsr {
			continue
		}
		dev, ok := partition(devices, disk.Name, p.Number)
		if !ok {
			missing = true
			slots = append(slots, Slot{Device: blockdev.Device{Name: fmt.Sprintf("partition %d of %s", p.Number, disk.Name), PartName: p.Name}, State: "unknown to the kernel"})
			continue
		}
		slots = append(slots, b.inspect(dev))
	}
	if missing && from == gpt.Backup {
		b.repairTable(disk, t)
	}
	return slots
}

// repairTable writes a table back that the kernel did not understand, because
// it reads only the primary one, so that the partitions appear.
func (b *boot) repairTable(disk blockdev.Device, t gpt.Table) {
	err := b.writeTable(disk, t)
	if err == nil {
		err = b.m.ReadPartitions(disk.Path)
	}
	if err != nil {
		b.m.Log(kmsg.Error, "%s: repairing the partition table: %v", disk.Name, err)
		return
	}
	b.m.Log(kmsg.Warning, "%s: repaired the partition table from its backup", disk.Name)
}

func (b *boot) inspect(dev blockdev.Device) Slot {
	f, err := b.m.OpenDevice(dev.Path)
	if err != nil {
		return Slot{Device: dev, State: err.Error()}
	}
	defer f.Close()
	return inspectSlot(dev, f)
}

func (b *boot) readTable(disk blockdev.Device) (gpt.Table, gpt.Source, error) {
	f, err := b.m.OpenDevice(disk.Path)
	if err != nil {
		return gpt.Table{}, 0, err
	}
	defer f.Close()
	return gpt.Read(f, disk.Size, int(disk.SectorSize))
}

func (b *boot) writeTable(disk blockdev.Device, t gpt.Table) error {
	f, err := b.m.OpenForWrite(disk.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.Write(f)
}

func partition(devices []blockdev.Device, disk string, number int) (blockdev.Device, bool) {
	for _, d := range devices {
		if d.Disk == disk && d.Partition == number {
			return d, true
		}
	}
	return blockdev.Device{}, false
}

// fitDisk brings the partition table of the system's disk in order before
// anything on the disk is in use. A disk that does not let itself be changed
// boots as it is.
func (b *boot) fitDisk(context.Context) error {
	t, from, err := b.readTable(b.disk)
	if err != nil {
		return fmt.Errorf("reading the partition table of %s again: %w", b.disk.Name, err)
	}
	b.findESP(t)
	plan, err := PlanDisk(t, b.damaged(from), uint64(b.disk.Size/b.disk.SectorSize), b.opts.RandomizeGUID, b.m.GUID)
	if err == nil && len(plan.Changes) > 0 {
		err = b.applyDisk(plan)
	}
	if err != nil {
		b.m.Log(kmsg.Error, "%s keeps its partition table: %v", b.disk.Name, err)
	}
	return nil
}

// damaged looks at both copies of the table, of which from is good.
func (b *boot) damaged(from gpt.Source) Damaged {
	if from == gpt.Backup {
		return "primary"
	}
	f, err := b.m.OpenDevice(b.disk.Path)
	if err != nil {
		return "" // the caller finds out when it writes
	}
	defer f.Close()
	if _, backup := gpt.Damage(f, b.disk.Size, int(b.disk.SectorSize)); backup != nil {
		return "backup"
	}
	return ""
}

func (b *boot) applyDisk(plan DiskPlan) error {
	if err := b.writeTable(b.disk, plan.Table); err != nil {
		return err
	}
	b.m.Log(kmsg.Info, "%s: %s", b.disk.Name, plan)
	if !plan.RootGrew {
		return nil
	}
	root, _ := plan.Table.Partition(layout.Root)
	unit := int64(plan.Table.SectorSize)
	b.rootGrew = true
	return b.m.ResizePartition(b.disk.Path, layout.Root, int64(root.First)*unit, int64(root.Sectors())*unit)
}

func (b *boot) findESP(t gpt.Table) {
	devices, err := b.m.Devices()
	if err != nil {
		return // reported where it is missed
	}
	for _, p := range t.Partitions {
		if dev, ok := partition(devices, b.disk.Name, p.Number); ok && p.Type == typeESP {
			b.esp = dev
			return
		}
	}
}

// openUsr opens the image under dm-verity and mounts it. From here on the
// programs of the system can run.
func (b *boot) openUsr(context.Context) error {
	sb := b.slot.Superblock
	target := dm.Target{Type: "verity", Size: sb.DataSize(),
		Params: verity.Table(b.slot.Device.Path, sb, b.opts.UsrHash, "panic_on_corruption")}
	// cryptsetup's tools know a device as theirs by this form of uuid.
	uuid := "CRYPT-VERITY-" + hex.EncodeToString(sb.UUID[:]) + "-" + usrDevice
	path, err := b.m.CreateVerity(usrDevice, uuid, target)
	if err != nil {
		return fmt.Errorf("opening /usr on %s: %w", b.slot.Device.Name, err)
	}
	// Without nodev, as on Flatcar: runc cannot repeat a locked nodev when it binds
	// a file of /usr into a container with user namespaces (docker run --init).
	if err := b.m.Mount(mount.Mount{Source: path, Target: usrDir, Type: "erofs", Flags: unix.MS_RDONLY}); err != nil {
		return err
	}
	return b.m.Mount(mount.Bind(usrModules, modulesDir))
}

// modprobe loads modules that only some machines need from the verified /usr.
// The kernel does the same by itself for file systems, device-mapper targets,
// RAID personalities and ciphers, with the same program.
func (b *boot) modprobe(ctx context.Context, names ...string) error {
	return b.command(ctx, 0, append([]string{"/usr/sbin/modprobe", "--all", "--use-blacklist"}, names...)...)
}
