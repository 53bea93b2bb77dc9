package gpt

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Validate reports everything that keeps the table from being written.
func (t Table) Validate() error {
	if t.SectorSize < 512 || t.SectorSize > 1<<16 || t.SectorSize&(t.SectorSize-1) != 0 {
		return fmt.Errorf("checking the partition table: sector size %d is not a power of two from 512 to 65536", t.SectorSize)
	}
	if t.Sectors < 2*(2+t.entrySectors()) || t.Sectors > 1<<63/uint64(t.SectorSize) {
		return fmt.Errorf("checking the partition table: it cannot describe a disk of %d sectors", t.Sectors)
	}
	var all []error
	if t.DiskGUID == (GUID{}) {
		all = append(all, errors.New("the disk has no GUID"))
	}
	all = append(all, t.validateEntries()...)
	all = append(all, t.validatePlaces()...)
	if len(all) > 0 {
		return fmt.Errorf("checking the partition table: %w", errors.Join(all...))
	}
	return nil
}

func (t Table) validateEntries() (all []error) {
	numbers, guids := map[int]bool{}, map[GUID]int{}
	for _, p := range t.Partitions {
		if p.Number < 1 || p.Number > Entries {
			all = append(all, fmt.Errorf("%s: the number is not within 1 to %d", p, Entries))
		}
		if numbers[p.Number] {
			all = append(all, fmt.Errorf("%s: the number is used twice", p))
		}
		numbers[p.Number] = true
		if p.Type == (GUID{}) || p.GUID == (GUID{}) {
			all = append(all, fmt.Errorf("%s: it lacks a type or a GUID", p))
		}
		if other, ok := guids[p.GUID]; ok {
			all = append(all, fmt.Errorf("%s: it has the GUID of partition %d", p, other))
		}
		guids[p.GUID] = p.Number
		if n := len(utf16.Encode([]rune(p.Name))); n > nameUnits || strings.ContainsRune(p.Name, 0) {
			all = append(all, fmt.Errorf("%s: the name must have at most %d characters and no NUL", p, nameUnits))
		}
	}
	return all
}

func (t Table) validatePlaces() (all []error) {
	var previous *Partition
	for _, p := range t.byPosition() {
		if p.Last < p.First {
			all = append(all, fmt.Errorf("%s: it ends at sector %d before it starts at %d", p, p.Last, p.First))
			continue
		}
		if p.First < t.FirstUsable() || p.Last > t.LastUsable() {
			all = append(all, fmt.Errorf("%s: sectors %d to %d are not within the usable %d to %d", p, p.First, p.Last, t.FirstUsable(), t.LastUsable()))
		}
		if previous != nil && p.First <= previous.Last {
			all = append(all, fmt.Errorf("%s: it overlaps %s", p, *previous))
		}
		if previous == nil || p.Last > previous.Last {
			previous = &p
		}
	}
	return all
}

// Grow lays the table out for a disk that has become larger: the backup goes
// to the new end and all before it becomes usable. Partitions stay. It is an
// error if the disk is smaller than the table.
func (t *Table) Grow(sectors uint64) error {
	if sectors < t.Sectors {
		return fmt.Errorf("growing the partition table: the disk has %d sectors, the table describes %d", sectors, t.Sectors)
	}
	t.Sectors = sectors
	return nil
}

// Room is the last sector that a partition could be resized to: right before
// what follows it on the disk, or the last usable one.
func (t Table) Room(number int) (last uint64, err error) {
	p, ok := t.Partition(number)
	if !ok {
		return 0, fmt.Errorf("finding room for partition %d: it does not exist", number)
	}
	last = t.LastUsable()
	for _, next := range t.Partitions {
		if next.First > p.First && next.First <= last {
			last = next.First - 1
		}
	}
	return last, nil
}

// Resize moves the end of a partition to a sector (inclusive).
func (t *Table) Resize(number int, last uint64) error {
	room, err := t.Room(number)
	if err != nil {
		return err
	}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if p.Number != number {
			continue
		}
		if last < p.First || last > room {
			return fmt.Errorf("resizing %s: its end can be sector %d to %d, not %d", p, p.First, room, last)
		}
		p.Last = last
		return nil
	}
	panic("BUG: Room found a partition that is not there")
}
