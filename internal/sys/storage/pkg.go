// Package storage looks at the disks of this machine and changes them: finds
// devices by the names that people give them, reads and writes partition
// tables and makes the kernel follow, tells what devices hold and are used
// for. It decides nothing.
//
// It needs no udev and no service manager: names below /dev/disk are found by
// reading the devices where there is no link, and the kernel is told of
// partitions by BLKPG. Only names that rules of udev make up (by-id, by-path)
// need udev, which is run for them.
package storage

import (
	"fmt"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/probe"
)

// Disk is what was found on a block device.
type Disk struct {
	Device     string     // as it was asked for
	Also       []string   // other names that are known
	Node       string     // /dev/vda
	Size       int64      // bytes
	SectorSize int        // logical block size, bytes
	Content    probe.Info // of the whole device; a table too
	Table      gpt.Table  // of a disk without a table: no partitions, no GUID
	Use        string     // "mounted on /var"; empty: not in use by itself
	Partitions []Partition
	// Peek tells what a partition of that place and size, bytes, would hold:
	// a new one shows again what lay there. Nil: nobody knows.
	Peek func(start, size int64) (probe.Info, error)
}

// Partition is a partition that the kernel knows.
type Partition struct {
	Number  int
	Node    string
	Content probe.Info
	Use     string
}

// Partition finds a partition by its number.
func (d Disk) Partition(number int) (Partition, bool) {
	for _, p := range d.Partitions {
		if p.Number == number {
			return p, true
		}
	}
	return Partition{}, false
}

// PartitionNode is the node of a partition: /dev/vda9, /dev/nvme0n1p9.
func PartitionNode(disk string, number int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}
