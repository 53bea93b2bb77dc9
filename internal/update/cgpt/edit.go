//go:build linux

package cgpt

import (
	"errors"
	"fmt"
	"sort"

	"wellcar.dev/internal/format/gpt"
)

// Fields are the flags of add and find; nil leaves or accepts anything.
type Fields struct {
	Begin, Size      *uint64 // sectors
	Type, GUID       *gpt.GUID
	Label            *string
	Boot, Successful *bool
	Tries, Priority  *int
	Attributes       *uint64 // the upper 16 bits
	CreateGUID       func() gpt.GUID
}

// Add changes a partition, or makes it if the number is free or 0.
func (d *Disk) Add(number int, f Fields) error {
	if number == 0 {
		number = d.free()
	}
	p, exists := d.Table.Partition(number)
	if !exists {
		if f.Begin == nil || f.Size == nil || f.Type == nil {
			return fmt.Errorf("adding partition %d: it does not exist, and a new one needs -b, -s and -t", number)
		}
		p = gpt.Partition{Number: number, GUID: f.CreateGUID()}
	}
	f.apply(&p)
	if err := d.slot(&p, f); err != nil {
		return err
	}
	d.put(p)
	return d.Table.Validate()
}

func (d *Disk) free() int {
	for n := 1; ; n++ {
		if _, taken := d.Table.Partition(n); !taken {
			return n
		}
	}
}

func (f Fields) apply(p *gpt.Partition) {
	size := p.Sectors()
	if p.Last == 0 {
		size = 0
	}
	if f.Size != nil {
		size = *f.Size
	}
	if f.Begin != nil {
		p.First = *f.Begin
	}
	p.Last = p.First + size - 1
	if f.Type != nil {
		p.Type = *f.Type
	}
	if f.GUID != nil {
		p.GUID = *f.GUID
	}
	if f.Label != nil {
		p.Name = *f.Label
	}
	if f.Attributes != nil {
		p.Attributes = p.Attributes&(1<<48-1) | *f.Attributes<<48
	}
	if f.Boot != nil {
		p.Attributes &^= gpt.AttrLegacyBoot
		if *f.Boot {
			p.Attributes |= gpt.AttrLegacyBoot
		}
	}
}

// slot changes the state of a slot, where it is kept.
func (d *Disk) slot(p *gpt.Partition, f Fields) error {
	if f.Successful == nil && f.Tries == nil && f.Priority == nil {
		return nil
	}
	if d.Slots != nil {
		if _, ok := d.Slots.State(p.Number); ok {
			if err := d.Slots.Set(p.Number, f.Tries, f.Successful); err != nil {
				return err
			}
			return d.priority(p.Number, f.Priority)
		}
	}
	s := gpt.Slot(p.Attributes)
	if f.Successful != nil {
		s.Successful = *f.Successful
	}
	if f.Tries != nil {
		s.Tries = *f.Tries
	}
	if f.Priority != nil {
		s.Priority = *f.Priority
	}
	p.Attributes = gpt.WithSlot(p.Attributes, s)
	return nil
}

// priority puts a slot first if that is what the wanted number means.
func (d *Disk) priority(number int, wanted *int) error {
	if wanted == nil {
		return nil
	}
	for _, p := range d.Table.Partitions {
		if p.Number != number && p.Type == typeUsr && d.state(p).Priority >= *wanted {
			return nil // it is not to be first
		}
	}
	return d.Slots.Prioritize(number)
}

func (d *Disk) put(p gpt.Partition) {
	for i := range d.Table.Partitions {
		if d.Table.Partitions[i].Number == p.Number {
			d.Table.Partitions[i] = p
			return
		}
	}
	d.Table.Partitions = append(d.Table.Partitions, p)
	sort.Slice(d.Table.Partitions, func(i, j int) bool { return d.Table.Partitions[i].Number < d.Table.Partitions[j].Number })
}

// Prioritize makes a partition the first of its type. Others keep their
// order. number 0 only closes the gaps between priorities.
func (d *Disk) Prioritize(number int, friends bool) error {
	p, ok := d.Table.Partition(number)
	if number != 0 && (!ok || p.Type != typeUsr) {
		return fmt.Errorf("prioritizing partition %d: it is no /usr partition", number)
	}
	if d.Slots != nil && number != 0 {
		if _, ok := d.Slots.State(number); ok {
			return d.Slots.Prioritize(number)
		}
	}
	d.renumber(number, friends)
	return nil
}

// renumber gives priorities 1, 2 and so on to what had one, the chosen
// partition the highest; friends are those that shared its priority.
func (d *Disk) renumber(number int, friends bool) {
	chosen, _ := d.Table.Partition(number)
	rank := func(p gpt.Partition) int {
		s := gpt.Slot(p.Attributes)
		if p.Number == number || friends && number != 0 && s.Priority > 0 && s.Priority == gpt.Slot(chosen.Attributes).Priority {
			return 16
		}
		return s.Priority
	}
	levels := map[int]bool{}
	for _, p := range d.Table.Partitions {
		if p.Type == typeUsr && rank(p) > 0 {
			levels[rank(p)] = true
		}
	}
	var sorted []int
	for l := range levels {
		sorted = append(sorted, l)
	}
	sort.Ints(sorted)
	next := map[int]int{}
	for i, l := range sorted {
		next[l] = min(i+1, 15)
	}
	for i := range d.Table.Partitions {
		p := &d.Table.Partitions[i]
		if p.Type == typeUsr {
			s := gpt.Slot(p.Attributes)
			s.Priority = next[rank(*p)]
			p.Attributes = gpt.WithSlot(p.Attributes, s)
		}
	}
}

// Find lists the numbers of the partitions that match.
func (d *Disk) Find(f Fields) (numbers []int) {
	for _, p := range d.Table.Partitions {
		if (f.Type == nil || p.Type == *f.Type) && (f.GUID == nil || p.GUID == *f.GUID) && (f.Label == nil || p.Name == *f.Label) {
			numbers = append(numbers, p.Number)
		}
	}
	return numbers
}

// Next is the partition that starts next.
func (d *Disk) Next() (gpt.Partition, error) {
	best, found := gpt.Partition{}, false
	for _, p := range d.Table.Partitions {
		s := d.state(p)
		if p.Type != typeUsr || s.Priority == 0 || !s.Successful && s.Tries == 0 {
			continue
		}
		if !found || s.Priority > d.state(best).Priority {
			best, found = p, true
		}
	}
	if !found {
		return best, errors.New("finding the next slot: none can start")
	}
	return best, nil
}

// Resize grows a partition to the end of the room behind it, if it is of the
// type that asks for it and the gain is at least least sectors.
func (d *Disk) Resize(number int, least uint64) (grew bool, err error) {
	p, ok := d.Table.Partition(number)
	if !ok {
		return false, fmt.Errorf("resizing partition %d: the table has none of that number", number)
	}
	room, err := d.Table.Room(number)
	if err != nil {
		return false, err
	}
	if room <= p.Last || room-p.Last < least {
		return false, nil
	}
	return true, d.Table.Resize(number, room)
}
