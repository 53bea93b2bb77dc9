package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/sys/blockdev"
)

// WriteTable writes a partition table and makes the kernel follow. What has no
// GUID gets a random one. Partitions in use must stay as they are.
func (m *Machine) WriteTable(ctx context.Context, device string, t gpt.Table) error {
	return m.change(ctx, device, "partitioning", func(f *os.File) error {
		t.Partitions = slices.Clone(t.Partitions)
		for i := range t.Partitions {
			if p := &t.Partitions[i]; p.GUID == (gpt.GUID{}) {
				p.GUID = gpt.RandomGUID(rand.Reader)
			}
		}
		if t.DiskGUID == (gpt.GUID{}) {
			t.DiskGUID = gpt.RandomGUID(rand.Reader)
		}
		return t.Write(f)
	}, t)
}

// ClearTable erases all copies of the partition tables of a disk.
func (m *Machine) ClearTable(ctx context.Context, device string) error {
	return m.change(ctx, device, "wiping the partition table of", func(f *os.File) error {
		size, err := f.Seek(0, 2)
		if err != nil {
			return err
		}
		const most = 48 << 10 // what a table takes with the largest sectors
		zeros := make([]byte, min(most, size))
		for _, at := range []int64{0, size - int64(len(zeros))} {
			if err := clearTableAt(f, at, zeros, size); err != nil {
				return err
			}
		}
		return nil
	}, gpt.Table{SectorSize: 512})
}

// clearTableAt zeros the room of one copy: 34 sectors at the start, 33 at the
// end, of which the size of sectors is the kernel's.
func clearTableAt(f *os.File, at int64, zeros []byte, size int64) error {
	sector, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKSSZGET)
	if err != nil {
		sector = 512
	}
	entries := max(16<<10, sector)
	n := min(int64(entries+2*sector), int64(len(zeros)))
	if at > 0 {
		n = min(int64(entries+sector), int64(len(zeros)))
		at = size - n
	}
	_, err = f.WriteAt(zeros[:n], at)
	return err
}

// change opens a disk, locked against udev, lets write do its work and tells
// the kernel.
func (m *Machine) change(ctx context.Context, device, doing string, write func(*os.File) error, t gpt.Table) error {
	node, err := m.Resolve(ctx, device)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(m.Sys, "class/block", filepath.Base(node), "dm")); err == nil {
		return fmt.Errorf("%s %s: it is a device-mapper volume, whose partitions the kernel does not show: name the disk below it", doing, device)
	}
	f, err := os.OpenFile(node, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s %s: %w", doing, device, err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("%s %s: locking it: %w", doing, device, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = m.follow(node, t)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", doing, device, err)
	}
	return nil
}

// follow makes the kernel's partitions those of the table. A kernel that reads
// such tables by itself is asked first, for it learns the names with them.
func (m *Machine) follow(node string, t gpt.Table) error {
	parts, uses, err := m.kernelPartitions(node)
	if err != nil {
		return err
	}
	inUse := slices.ContainsFunc(parts, func(d blockdev.Device) bool { return uses.Of(d) != "" })
	if !inUse && blockdev.ReadPartitions(node) == nil {
		if parts, _, err = m.kernelPartitions(node); err != nil {
			return err
		}
	}
	if err := forget(node, parts, t); err != nil {
		return err
	}
	if err := tell(node, parts, t); err != nil {
		return err
	}
	return m.check(node, t)
}

func (m *Machine) kernelPartitions(node string) ([]blockdev.Device, blockdev.Uses, error) {
	devices, err := blockdev.List(m.Sys)
	if err != nil {
		return nil, blockdev.Uses{}, err
	}
	var parts []blockdev.Device
	for _, d := range devices {
		i := slices.IndexFunc(devices, func(o blockdev.Device) bool { return o.Name == d.Disk })
		if i >= 0 && devices[i].Path == node {
			parts = append(parts, d)
		}
	}
	uses, err := blockdev.ReadUses(m.Sys, m.Proc)
	return parts, uses, err
}

// extent is a partition's place in bytes.
func extent(t gpt.Table, p gpt.Partition) (start, size int64) {
	unit := int64(t.SectorSize)
	return int64(p.First) * unit, int64(p.Sectors()) * unit
}

// forget takes from the kernel what is not, or not there, in the table.
func forget(node string, parts []blockdev.Device, t gpt.Table) error {
	var errs []error
	for _, d := range parts {
		p, ok := t.Partition(d.Partition)
		if start, _ := extent(t, p); !ok || start != d.Start {
			errs = append(errs, blockdev.DeletePartition(node, d.Partition))
		}
	}
	return errors.Join(errs...)
}

// tell gives the kernel what is new or has another size.
func tell(node string, parts []blockdev.Device, t gpt.Table) error {
	var errs []error
	for _, p := range t.Partitions {
		start, size := extent(t, p)
		i := slices.IndexFunc(parts, func(d blockdev.Device) bool { return d.Partition == p.Number && d.Start == start })
		switch {
		case i < 0:
			errs = append(errs, blockdev.AddPartition(node, p.Number, start, size))
		case parts[i].Size != size:
			errs = append(errs, blockdev.ResizePartition(node, p.Number, start, size))
		}
	}
	return errors.Join(errs...)
}

// check compares what the kernel knows now with the table.
func (m *Machine) check(node string, t gpt.Table) error {
	parts, _, err := m.kernelPartitions(node)
	if err != nil {
		return err
	}
	for _, p := range t.Partitions {
		start, size := extent(t, p)
		if !slices.ContainsFunc(parts, func(d blockdev.Device) bool { return d.Partition == p.Number && d.Start == start && d.Size == size }) {
			return fmt.Errorf("the kernel does not show partition %d as it was written", p.Number)
		}
	}
	if len(parts) != len(t.Partitions) {
		return fmt.Errorf("the kernel shows %d partitions, the table has %d", len(parts), len(t.Partitions))
	}
	return nil
}
