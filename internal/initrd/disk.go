//go:build linux

package initrd

import (
	"fmt"
	"strings"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
)

// DiskPlan is the change to the partition table of the disk that /usr is on.
// A plan without changes writes nothing.
type DiskPlan struct {
	Table    gpt.Table // as it shall be
	Changes  []string  // in words
	RootGrew bool      // the kernel must hear of partition 9's new size
}

// String lists the changes.
func (p DiskPlan) String() string { return strings.Join(p.Changes, ", ") }

// Damaged names the copy of a table that cannot be used: "primary", "backup"
// or none.
type Damaged string

var typeRoot = gpt.MustGUID(layout.TypeRoot)

// PlanDisk decides about the table of a disk that has this many sectors:
// replace the GUID that all images share (or on request), move the backup to
// the end of a disk that has grown, give the room behind ROOT to ROOT if it is
// the last partition, repair a damaged copy. fresh makes a random GUID.
func PlanDisk(t gpt.Table, damaged Damaged, sectors uint64, randomize bool, fresh func() gpt.GUID) (DiskPlan, error) {
	p := DiskPlan{Table: t}
	if damaged != "" {
		p.Changes = append(p.Changes, "repaired the "+string(damaged)+" partition table")
	}
	if randomize || t.DiskGUID == gpt.MustGUID(layout.ImageDiskGUID) {
		p.Table.DiskGUID = fresh()
		p.Changes = append(p.Changes, "new disk GUID "+p.Table.DiskGUID.String())
	}
	if sectors > t.Sectors {
		if err := p.Table.Grow(sectors); err != nil {
			return DiskPlan{}, err
		}
		p.Changes = append(p.Changes, fmt.Sprintf("table grown from %d to %d MiB", mebibytes(t, t.Sectors), mebibytes(t, sectors)))
	}
	return p, p.growRoot()
}

// growRoot extends ROOT to the end of the disk.
func (p *DiskPlan) growRoot() error {
	root, ok := p.Table.Partition(layout.Root)
	if !ok || root.Type != typeRoot {
		return nil
	}
	room, err := p.Table.Room(layout.Root)
	if err != nil {
		return err
	}
	// Whole MiB, so that no file system ends within a block.
	unit := uint64(1<<20) / uint64(p.Table.SectorSize)
	last := (room+1)/unit*unit - 1
	if room != p.Table.LastUsable() || last <= root.Last {
		return nil
	}
	p.Table.Partitions = append([]gpt.Partition(nil), p.Table.Partitions...)
	if err := p.Table.Resize(layout.Root, last); err != nil {
		return err
	}
	p.RootGrew = true
	p.Changes = append(p.Changes, fmt.Sprintf("partition %d grown to %d MiB", layout.Root, mebibytes(p.Table, last-root.First+1)))
	return nil
}

func mebibytes(t gpt.Table, sectors uint64) uint64 {
	return sectors * uint64(t.SectorSize) >> 20
}
