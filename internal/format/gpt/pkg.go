// Package gpt reads, checks, edits and writes GUID partition tables (UEFI
// Specification 2.10, section 5: protective MBR 5.2.3, header 5.3.2, entries
// 5.3.3), without touching what the partitions hold.
//
// A table is a value: Read it, change it, Write it.
//
//	t, from, err := gpt.Read(disk, size, 512)
//	t.Grow(uint64(size / 512))
//	last, _ := t.Room(9)
//	t.Resize(9, last)
//	err = t.Write(disk)
//
// Limits: it writes the usual geometry only (128 entries of 128 bytes right
// behind the primary header and right before the backup header); it reads any
// position and up to 1024 entries.
package gpt

import (
	"fmt"
	"sort"
)

// Entries is the number of entries written, and so the highest partition
// number.
const Entries = 128

const (
	entrySize = 128 // bytes
	nameUnits = 36  // UTF-16 code units of a name
)

// Attribute bits of every partition type (UEFI 5.3.3, table 5.8).
const (
	AttrRequired   = 1 << 0 // the platform needs it: do not delete
	AttrLegacyBoot = 1 << 2 // a BIOS boot loader may start it
)

// Partition is one used entry.
type Partition struct {
	Number     int // from 1; holes between numbers are kept
	Type       GUID
	GUID       GUID
	Name       string // at most 36 UTF-16 code units
	First      uint64 // sector
	Last       uint64 // sector, inclusive
	Attributes uint64
}

// Sectors is the length of the partition.
func (p Partition) Sectors() uint64 { return p.Last - p.First + 1 }

// Table is the partition table of one disk.
type Table struct {
	DiskGUID   GUID
	SectorSize int         // bytes: a power of two from 512
	Sectors    uint64      // of the disk that the table was laid out for; the backup header is in the last one
	Partitions []Partition // sorted by number when it comes from Read
}

// entrySectors is the length of one entry array.
func (t Table) entrySectors() uint64 {
	return uint64((Entries*entrySize + t.SectorSize - 1) / t.SectorSize)
}

// FirstUsable is the first sector that a partition may have.
func (t Table) FirstUsable() uint64 { return 2 + t.entrySectors() }

// LastUsable is the last sector that a partition may have.
func (t Table) LastUsable() uint64 { return t.Sectors - 2 - t.entrySectors() }

// Partition returns the entry with a number.
func (t Table) Partition(number int) (Partition, bool) {
	for _, p := range t.Partitions {
		if p.Number == number {
			return p, true
		}
	}
	return Partition{}, false
}

// byPosition returns the entries in disk order.
func (t Table) byPosition() []Partition {
	sorted := append([]Partition(nil), t.Partitions...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].First < sorted[j].First })
	return sorted
}

func (p Partition) String() string { return fmt.Sprintf("partition %d (%s)", p.Number, p.Name) }
