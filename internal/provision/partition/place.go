package partition

import (
	"fmt"
	"slices"

	"wellcar.dev/internal/format/gpt"
)

// place finds out where each wanted partition goes. It is a dry run: what
// exists and is named in the list is taken away, then the wanted ones are put
// in one after the other.
func (x *decision) place() {
	named := map[int]bool{}
	for _, w := range x.wants {
		named[w.Number] = true
	}
	for _, p := range x.Table.Partitions {
		if !named[p.Number] {
			x.occupied = append(x.occupied, p)
		}
	}
	for _, i := range x.order {
		if x.wants[i].Absent {
			continue
		}
		if p, ok := x.placeOne(i); ok {
			x.placed[i] = p
			x.occupied = append(x.occupied, p)
			x.owner[p.Number] = i
		}
	}
}

// unit is the number of sectors of a MiB.
func (x *decision) unit() uint64 { return uint64(mib / x.Table.SectorSize) }

// placeOne places entry i among what is there so far.
func (x *decision) placeOne(i int) (gpt.Partition, bool) {
	w := x.wants[i]
	was, exists := x.Table.Partition(w.Number)
	keeps := exists && !w.Wipe
	p := gpt.Partition{Number: w.Number}
	switch {
	case w.Start == nil && keeps:
		p.First = was.First
	case w.Start == nil || *w.Start == 0:
		first, _, ok := x.largest()
		if !ok {
			x.fault(i, "", "make room by deleting a partition, or take a larger disk", "has no room: the disk is full")
			return p, false
		}
		p.First = first
	default:
		p.First = uint64(*w.Start) * x.unit()
	}
	return x.placeEnd(i, p, was, keeps)
}

func (x *decision) placeEnd(i int, p, was gpt.Partition, keeps bool) (gpt.Partition, bool) {
	w := x.wants[i]
	switch {
	case w.Size == nil && keeps:
		p.Last = p.First + was.Sectors() - 1
	case w.Size == nil || *w.Size == 0:
		last, taken := x.blockEnd(p.First)
		if taken != "" {
			x.fault(i, "startMiB", "start it where the disk is free", "starts at %s, which is %s", x.size(p.First), taken)
			return p, false
		}
		p.Last = last
	default:
		p.Last = p.First + uint64(*w.Size)*x.unit() - 1
	}
	return p, x.fits(i, p)
}

// fits tells whether a partition is within the disk and free of others, and
// reports it if not.
func (x *decision) fits(i int, p gpt.Partition) bool {
	if p.First < x.Table.FirstUsable() {
		x.fault(i, "startMiB", "start it at 1 MiB or later", "starts in sector %d, within the partition table", p.First)
		return false
	}
	if p.Last > x.Table.LastUsable() {
		x.tooLarge(i, p)
		return false
	}
	for _, other := range x.occupied {
		if p.First <= other.Last && other.First <= p.Last {
			x.overlap(i, p, other)
			return false
		}
	}
	return true
}

func (x *decision) tooLarge(i int, p gpt.Partition) {
	field, w := "sizeMiB", x.wants[i]
	if last, taken := x.blockEnd(p.First); w.startChosen() && taken == "" {
		x.needs(i, p, last-p.First+1)
		return
	}
	if p.First > x.Table.LastUsable() || w.Size == nil || *w.Size == 0 {
		field = "startMiB"
	}
	room := "nothing is free behind its start"
	if last, taken := x.blockEnd(p.First); taken == "" {
		room = fmt.Sprintf("at most %s fit there", x.size(last-p.First+1))
	}
	x.fault(i, field, "make it smaller, or take a larger disk", "ends at %s, but the disk has %s; %s",
		x.size(p.Last+1), x.size(x.Table.Sectors), room)
}

// needs reports that a block is too small.
func (x *decision) needs(i int, p gpt.Partition, free uint64) {
	x.fault(i, "sizeMiB", "make it smaller, make room by deleting a partition, or take a larger disk",
		"needs %s, but the largest free block has %s", x.size(p.Sectors()), x.size(free))
}

// startChosen tells whether the start is left to the rules.
func (w Want) startChosen() bool { return w.Start == nil || *w.Start == 0 }

func (x *decision) overlap(i int, p, other gpt.Partition) {
	w := x.wants[i]
	whose := ""
	if j, ours := x.owner[other.Number]; ours {
		whose = x.name(j)
	} else {
		whose = "existing " + x.describe(other)
	}
	if w.startChosen() && p.First < other.First {
		x.needs(i, p, other.First-p.First)
		return
	}
	x.fault(i, "startMiB", "move or shrink one of the two", "(%s to %s) overlaps %s (%s to %s)",
		x.size(p.First), x.size(p.Last+1), whose, x.size(other.First), x.size(other.Last+1))
}

// largest is the largest free block, its start at a whole MiB.
func (x *decision) largest() (first, last uint64, ok bool) {
	var size uint64
	at := x.Table.FirstUsable()
	consider := func(end uint64) { // the block from at to end, exclusive
		if end > at && end-at > size {
			size, first, last, ok = end-at, at, end-1, true
		}
	}
	for _, p := range x.byPosition() {
		consider(p.First)
		at = max(at, p.Last+1)
	}
	consider(x.Table.LastUsable() + 1)
	if up := (first + x.unit() - 1) / x.unit() * x.unit(); up <= last {
		first = up
	}
	return first, last, ok
}

// blockEnd is the end of the free block that a sector is in: at a whole MiB,
// unless that is before the start. taken says what is there, if it is not free.
func (x *decision) blockEnd(first uint64) (last uint64, taken string) {
	last = x.Table.LastUsable()
	if first > last {
		return 0, fmt.Sprintf("behind the end of the disk (%s)", x.size(x.Table.Sectors))
	}
	for _, p := range x.occupied {
		if p.First <= first && first <= p.Last {
			return 0, "within " + x.describe(p)
		}
		if p.First > first {
			last = min(last, p.First-1)
		}
	}
	if down := (last + 1) / x.unit() * x.unit(); down > first+1 {
		last = down - 1
	}
	return last, ""
}

func (x *decision) byPosition() []gpt.Partition {
	sorted := slices.Clone(x.occupied)
	slices.SortFunc(sorted, func(a, b gpt.Partition) int {
		if a.First < b.First {
			return -1
		}
		return 1
	})
	return sorted
}

// describe is a partition in words: partition 9 (ROOT, 2200 MiB).
func (x *decision) describe(p gpt.Partition) string {
	about := x.size(p.Sectors())
	if p.Name != "" {
		about = p.Name + ", " + about
	}
	return fmt.Sprintf("partition %d (%s)", p.Number, about)
}

// size is a number of sectors in words.
func (x *decision) size(sectors uint64) string {
	bytes := sectors * uint64(x.Table.SectorSize)
	if bytes%mib == 0 {
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return fmt.Sprintf("%d sectors", sectors)
}
