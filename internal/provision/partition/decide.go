package partition

import (
	"fmt"
	"slices"
	"strings"

	"wellcar.dev/internal/format/gpt"
)

// DefaultType is the type of a new partition: Linux data.
const DefaultType = "0fc63daf-8483-4772-8e79-3d69d8477de4"

const mib = 1 << 20

// Decide works out the table. With faults the result is of no use.
func Decide(d Disk, wants []Want) (Result, []Fault) {
	if faults := Check(wants); len(faults) > 0 {
		return Result{}, faults
	}
	x := newDecision(d, wants)
	x.place()
	for i := range x.wants {
		x.compare(i)
	}
	if len(x.faults) > 0 {
		slices.SortStableFunc(x.faults, func(a, b Fault) int { return a.Want - b.Want })
		return Result{}, x.faults
	}
	return Result{Table: x.after(), Changes: x.changes}, nil
}

// sizeMax is more MiB than any disk has, and few enough to count in sectors.
const sizeMax = 1 << 42

// Check finds the entries that no disk can have.
func Check(wants []Want) []Fault {
	x := &decision{wants: wants}
	for i, w := range wants {
		switch {
		case w.Number < 0, w.Number > gpt.Entries && !w.Absent:
			x.fault(i, "number", fmt.Sprintf("use 1 to %d, or 0 for the next free one", gpt.Entries), "has a number that no table has")
		case w.Start != nil && (*w.Start < 0 || *w.Start > sizeMax):
			x.fault(i, "startMiB", "write MiB from the start of the disk, or 0 for the largest free block", "starts at %d MiB, where no disk is", *w.Start)
		case w.Size != nil && (*w.Size < 0 || *w.Size > sizeMax):
			x.fault(i, "sizeMiB", "write MiB, or 0 for as much as there is", "has %d MiB, which is no size", *w.Size)
		}
	}
	return x.faults
}

// decision is the state of one Decide.
type decision struct {
	Disk
	wants    []Want          // numbers resolved
	order    []int           // of the entries: numbered ones first
	placed   []gpt.Partition // by entry: where it goes; Number 0: nowhere
	occupied []gpt.Partition // what takes room in the dry run
	owner    map[int]int     // entry that put a partition into the dry run, by number
	changes  []Change
	faults   []Fault
}

func newDecision(d Disk, wants []Want) *decision {
	x := &decision{Disk: d, wants: slices.Clone(wants), placed: make([]gpt.Partition, len(wants)), owner: map[int]int{}}
	for i, w := range wants {
		if w.Number != 0 {
			x.order = append(x.order, i)
		}
	}
	x.number()
	return x
}

// number gives the entries without a number theirs.
func (x *decision) number() {
	used := map[int]bool{}
	for _, p := range x.Table.Partitions {
		used[p.Number] = true
	}
	for _, w := range x.wants {
		used[w.Number] = !w.Absent // what goes leaves its number free
	}
	next := 1
	for i := range x.wants {
		if w := &x.wants[i]; w.Number == 0 && !w.Absent {
			for used[next] {
				next++
			}
			w.Number, used[next] = next, true
			x.order = append(x.order, i)
		}
	}
}

func (x *decision) fault(i int, field, remedy, format string, args ...any) {
	x.faults = append(x.faults, Fault{i, field, x.name(i) + " " + fmt.Sprintf(format, args...), remedy})
}

// name is the entry in words: partition 3 (data).
func (x *decision) name(i int) string {
	w := x.wants[i]
	name := fmt.Sprintf("partition %d", w.Number)
	if w.Label != nil && *w.Label != "" {
		name += " (" + *w.Label + ")"
	}
	return name
}

// wanted tells whether another entry asks for the partition that entry i does
// not want.
func (x *decision) wanted(i int) bool {
	return slices.ContainsFunc(x.wants, func(w Want) bool { return !w.Absent && w.Number == x.wants[i].Number })
}

// compare decides what happens for entry i.
func (x *decision) compare(i int) {
	w := x.wants[i]
	was, exists := x.Table.Partition(w.Number)
	switch {
	case w.Number == 0, w.Absent && (!exists || x.wanted(i)):
	case w.Absent && !w.Wipe:
		x.fault(i, "shouldExist", "set wipe_partition_entry to delete it", "exists but should not (%s)", x.describe(was))
	case w.Absent:
		x.change(Change{Want: i, Kind: Delete, Before: was})
	case x.placed[i].Number == 0: // no room, told already
	case !exists:
		x.change(Change{Want: i, Kind: Create, After: x.fresh(i)})
	default:
		x.compareExisting(i, was)
	}
}

func (x *decision) compareExisting(i int, was gpt.Partition) {
	w := x.wants[i]
	differs, onlySize := x.differences(i, was)
	switch {
	case len(differs) == 0:
		x.change(Change{Want: i, Kind: Keep, Before: was, After: was})
	case w.Wipe:
		x.change(Change{Want: i, Kind: Replace, Before: was, After: x.fresh(i)})
	case w.Resize && onlySize:
		after := was
		after.Last = x.placed[i].Last
		x.change(Change{Want: i, Kind: Resize, Before: was, After: after})
	default:
		remedy := "set wipe_partition_entry to replace it, or describe it as it is"
		if onlySize {
			remedy = "set resize to change its size, or wipe_partition_entry to replace it"
		}
		x.fault(i, differs[0].field, remedy, "exists and differs: %s", sentences(differs))
	}
}

// change records a change, unless the partition is in use.
func (x *decision) change(c Change) {
	if why := x.Busy[c.Before.Number]; why != "" && c.Kind != Keep && c.Kind != Create {
		x.fault(c.Want, "", "leave it as it is while the system uses it", "cannot be changed: it is %s", why)
		return
	}
	x.changes = append(x.changes, c)
}

// fresh is the partition of an entry as a new one.
func (x *decision) fresh(i int) gpt.Partition {
	w, p := x.wants[i], x.placed[i]
	if w.Label != nil {
		p.Name = *w.Label
	}
	kind := w.Type
	if kind == "" {
		kind = DefaultType
	}
	var err error
	if p.Type, err = gpt.ParseGUID(kind); err != nil {
		x.fault(i, "typeGuid", "write it as 8-4-4-4-12 hexadecimal digits", "has a type that is no GUID: %q", kind)
	}
	if w.GUID == "" {
		return p
	}
	if p.GUID, err = gpt.ParseGUID(w.GUID); err != nil {
		x.fault(i, "guid", "write it as 8-4-4-4-12 hexadecimal digits", "has a GUID that is none: %q", w.GUID)
	}
	return p
}

// difference is one thing in which a partition is not as wanted.
type difference struct{ field, what string }

// differences compares entry i with the partition of its number.
func (x *decision) differences(i int, was gpt.Partition) (all []difference, onlySize bool) {
	w, want := x.wants[i], x.placed[i]
	note := func(field, format string, args ...any) {
		all = append(all, difference{field, fmt.Sprintf(format, args...)})
	}
	if was.First != want.First {
		note("startMiB", "it starts at %s, not at %s", x.size(was.First), x.size(want.First))
	}
	if w.Label != nil && *w.Label != was.Name {
		note("label", "its label is %q, not %q", was.Name, *w.Label)
	}
	if w.Type != "" && !strings.EqualFold(w.Type, was.Type.String()) {
		note("typeGuid", "its type is %s, not %s", was.Type, strings.ToLower(w.Type))
	}
	if w.GUID != "" && !strings.EqualFold(w.GUID, was.GUID.String()) {
		note("guid", "its GUID is %s, not %s", was.GUID, strings.ToLower(w.GUID))
	}
	onlySize = len(all) == 0
	if was.Sectors() != want.Sectors() {
		note("sizeMiB", "its size is %s, not %s", x.size(was.Sectors()), x.size(want.Sectors()))
	}
	return all, onlySize
}

func sentences(all []difference) string {
	var words []string
	for _, d := range all {
		words = append(words, d.what)
	}
	return strings.Join(words, ", ")
}

// after is the table with the changes made.
func (x *decision) after() gpt.Table {
	t := x.Table
	t.Partitions = nil
	changed := map[int]bool{}
	for _, c := range x.changes {
		changed[c.Before.Number] = true
		if c.After.Number != 0 {
			t.Partitions = append(t.Partitions, c.After)
		}
	}
	for _, p := range x.Table.Partitions {
		if !changed[p.Number] {
			t.Partitions = append(t.Partitions, p)
		}
	}
	slices.SortFunc(t.Partitions, func(a, b gpt.Partition) int { return a.Number - b.Number })
	return t
}
