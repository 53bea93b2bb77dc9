package provision

import (
	"context"
	"errors"
	"fmt"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/storage"
)

// Disks reaches the block devices of a machine. *storage.Machine is one.
type Disks interface {
	// Look waits for a device and tells what is on it.
	Look(ctx context.Context, device string) (storage.Disk, error)
	// Find is the node of a device that is there now, else empty.
	Find(ctx context.Context, device string) (string, error)
	// Resolve waits for a device and returns its node.
	Resolve(ctx context.Context, device string) (string, error)
	// Identify waits for a device and tells what it holds.
	Identify(ctx context.Context, device string) (probe.Info, error)
	// WriteTable writes a partition table and makes the kernel follow.
	WriteTable(ctx context.Context, device string, t gpt.Table) error
	// ClearTable erases the partition table.
	ClearTable(ctx context.Context, device string) error
	// Wipe erases all signatures of a device.
	Wipe(ctx context.Context, device string) error
	// Mount waits for a device and mounts it on a directory of this machine.
	Mount(ctx context.Context, device, dir, format string, options []string) error
	// Unmount undoes it. What is not mounted is no error.
	Unmount(ctx context.Context, dir string) error
	// Run runs a program of the system and returns its stdout.
	Run(ctx context.Context, name string, args ...string) ([]byte, error)
	// Secret puts bytes into a file for a program; remove must be called.
	Secret(data []byte) (path string, remove func(), err error)
}

// DiskFact is what is known of a device that the config names.
type DiskFact = storage.Disk

// disks returns the target's, or why there are none.
func (m *machine) disks() (Disks, error) {
	if m.Target.Disks == nil {
		return nil, errors.New("disks of this target cannot be changed")
	}
	return m.Target.Disks, nil
}

// LookAtDisks finds the facts about the disks that a config names. It waits
// for those to be partitioned; of other devices it takes what is there now,
// for they may be made first.
func LookAtDisks(ctx context.Context, c Config, d Disks) ([]DiskFact, error) {
	var facts []DiskFact
	seen := map[string]bool{}
	for i, disk := range c.Ignition.Storage.Disks {
		fact, err := d.Look(ctx, disk.Device)
		if err != nil {
			return nil, Report{*c.problem(Path{"storage", "disks", i, "device"}, err.Error(), "check the name: lsblk on a running machine lists the disks")}
		}
		seen[disk.Device] = true
		facts = append(facts, fact)
	}
	return append(facts, glance(ctx, d, c.devices(), seen)...), nil
}

// GlanceAtDisks finds the facts about those of a config's devices that are
// there now.
func GlanceAtDisks(ctx context.Context, c Config, d Disks) []DiskFact {
	var all []string
	for _, disk := range c.Ignition.Storage.Disks {
		all = append(all, disk.Device)
	}
	return glance(ctx, d, append(all, c.devices()...), map[string]bool{})
}

func glance(ctx context.Context, d Disks, devices []string, seen map[string]bool) (facts []DiskFact) {
	for _, device := range devices {
		if seen[device] {
			continue
		}
		seen[device] = true
		node, err := d.Find(ctx, device)
		if err != nil || node == "" {
			continue // made first, or missed when its turn comes
		}
		if fact, err := d.Look(ctx, device); err == nil {
			facts = append(facts, fact)
		}
	}
	return facts
}

// devices are the devices that arrays, volumes and file systems are made of.
func (c Config) devices() (all []string) {
	s := c.Ignition.Storage
	for _, r := range s.Raid {
		for _, d := range r.Devices {
			all = append(all, string(d))
		}
	}
	for _, l := range s.Luks {
		all = append(all, value(l.Device))
	}
	for _, f := range s.Filesystems {
		all = append(all, f.Device)
	}
	return all
}

// VirtualDisks are the disks of a virtual machine that is only thought of, as
// `wellcar run` makes them: vda with the image, and blank ones of the sizes
// (bytes) that follow the first.
func VirtualDisks(sizes ...int64) (all []DiskFact) {
	for i, size := range sizes {
		name := fmt.Sprintf("/dev/vd%c", 'a'+i)
		d := ImageDisk(name, size)
		if i > 0 {
			d = BlankDisk(name, size)
			d.Also = []string{fmt.Sprintf("/dev/disk/by-id/virtio-disk%d", i)}
		}
		all = append(all, d)
	}
	return all
}

// BlankDisk is a disk of a machine that is only thought of.
func BlankDisk(device string, size int64) DiskFact {
	const sector = 512
	return DiskFact{Device: device, Node: device, Size: size, SectorSize: sector,
		Table: gpt.Table{SectorSize: sector, Sectors: uint64(size / sector)}}
}

// ImageDisk is the system's disk of a machine that is only thought of, at the
// time of its first boot.
func ImageDisk(device string, size int64) DiskFact {
	d := BlankDisk(device, size)
	d.Table.DiskGUID = gpt.MustGUID(layout.ImageDiskGUID)
	d.Content = probe.Info{Type: "gpt", UUID: layout.ImageDiskGUID, Usage: probe.Table}
	at := uint64(layout.Align / layout.SectorSize)
	for _, p := range layout.Partitions() {
		q := gpt.Partition{Number: p.Number, Name: p.Label, Type: gpt.MustGUID(p.Type), First: at}
		q.GUID = gpt.GUID(layout.DerivedGUID("planned partition", []byte(p.Label)))
		q.Last = at + uint64(p.Size/layout.SectorSize) - 1
		if p.Number == layout.Root { // the first boot has given it the rest of the disk
			unit := uint64(1 << 20 / layout.SectorSize)
			q.Last = max(q.Last, (d.Table.LastUsable()+1)/unit*unit-1)
		}
		at = (q.Last/(layout.Align/layout.SectorSize) + 1) * (layout.Align / layout.SectorSize)
		d.Table.Partitions = append(d.Table.Partitions, q)
		d.Partitions = append(d.Partitions, imagePartition(d.Node, p))
	}
	return d
}

// imagePartition is what the image has on a partition, and the boot does to it.
func imagePartition(disk string, p layout.Partition) storage.Partition {
	out := storage.Partition{Number: p.Number, Node: storage.PartitionNode(disk, p.Number)}
	switch p.Number {
	case layout.ESP:
		out.Content = probe.Info{Type: "vfat", Label: p.Label, Usage: probe.Filesystem}
	case layout.OEM:
		out.Content = probe.Info{Type: "ext4", Label: p.Label, Usage: probe.Filesystem}
	case layout.UsrA:
		out.Content = probe.Info{Type: "erofs", Usage: probe.Filesystem}
		out.Use = "used by /dev/mapper/usr"
	}
	return out
}
