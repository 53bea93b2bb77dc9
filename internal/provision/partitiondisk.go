package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/provision/partition"
)

// PartitionDisk changes the partition table of a disk. What it does in detail
// is decided by the disk as it is found then, by the rules of package
// partition; Before and After tell what a plan foresaw.
type PartitionDisk struct {
	Device    string            `json:"device"`
	WipeTable bool              `json:"wipeTable,omitempty"`
	Before    []PartitionState  `json:"before,omitempty"`
	After     []PartitionState  `json:"after,omitempty"`
	Changes   []PartitionChange `json:"changes,omitempty"`

	wants []partition.Want
	place func(want int, field string) Position
	known bool
}

// Foreseen tells whether the plan knows the disk, and so has said what is
// lost.
func (a *PartitionDisk) Foreseen() bool { return a.known }

// PartitionState is a partition of a plan.
type PartitionState struct {
	Number   int    `json:"number"`
	Label    string `json:"label,omitempty"`
	Type     string `json:"type"`
	GUID     string `json:"guid,omitempty"` // empty: made up when it is written
	StartMiB int64  `json:"startMiB"`       // rounded down
	SizeMiB  int64  `json:"sizeMiB"`        // rounded down
}

// PartitionChange is what happens to a partition.
type PartitionChange struct {
	Kind   partition.Kind `json:"kind"`
	Number int            `json:"number"`
	At     Position       `json:"at,omitzero"`
}

// Kind implements Action.
func (*PartitionDisk) Kind() string { return "partitionDisk" }

// Summary implements Action.
func (a *PartitionDisk) Summary() Summary {
	var words []string
	if a.WipeTable {
		words = append(words, "new table")
	}
	for _, c := range a.Changes {
		words = append(words, string(c.Kind)+" "+a.describe(c))
	}
	if !a.known && len(a.wants) > 0 {
		words = append(words, fmt.Sprintf("%d entries, depends on the disk", len(a.wants)))
	}
	return Summary{"partition", "partitioned", "disk", a.Device, strings.Join(words, ", ")}
}

func (a *PartitionDisk) describe(c PartitionChange) string {
	list := a.After
	if c.Kind == partition.Delete {
		list = a.Before
	}
	for _, p := range list {
		if p.Number == c.Number {
			return strings.TrimSpace(fmt.Sprintf("%d %s", p.Number, p.Label)) + fmt.Sprintf(" of %d MiB", p.SizeMiB)
		}
	}
	return fmt.Sprint(c.Number)
}

// partitionDisks plans storage.disks.
func (b *builder) partitionDisks() {
	for i, d := range b.Ignition.Storage.Disks {
		b.partitionDisk(Path{"storage", "disks", i}, d)
	}
}

func (b *builder) partitionDisk(p Path, d types.Disk) {
	a := &PartitionDisk{Device: d.Device, WipeTable: isTrue(d.WipeTable)}
	for _, part := range d.Partitions {
		a.wants = append(a.wants, want(part))
		if !a.wants[len(a.wants)-1].Absent {
			b.claims.owner[b.key(d.Device)] = fmt.Sprintf("partitioned (%s)", b.Position(p...))
		}
	}
	paths := func(want int, field string) Path {
		if want < 0 {
			return p.with(field)
		}
		if field == "" {
			return p.with("partitions", want)
		}
		return p.with("partitions", want, field)
	}
	a.place = func(want int, field string) Position { return b.Position(paths(want, field)...) }
	if !a.WipeTable && len(a.wants) == 0 {
		return
	}
	if fact, ok := b.diskFact(d.Device); ok {
		b.foresee(a, fact, paths)
	} else if faults := partition.Check(a.wants); len(faults) > 0 {
		for _, f := range faults {
			b.fail(paths(f.Want, f.Field), f.Message, f.Remedy)
		}
	} else if b.volumes.facts {
		b.warn(p.with("device"), "nothing is known of this disk, so its partitions are not checked", "describe it with --disk")
	}
	b.add(StageDisks, p, a)
}

func (b *builder) diskFact(device string) (DiskFact, bool) {
	for _, f := range b.facts.Disks {
		if f.Device == device || slices.Contains(f.Also, device) {
			return f, true
		}
	}
	return DiskFact{}, false
}

// foresee decides on a disk that is known.
func (b *builder) foresee(a *PartitionDisk, fact DiskFact, paths func(int, string) Path) {
	result, faults := a.decide(fact)
	for _, f := range faults {
		b.fail(paths(f.Want, f.Field), f.Message, f.Remedy)
	}
	if len(faults) > 0 {
		return
	}
	a.known = true
	a.Before, a.After = PartitionStates(fact.Table), PartitionStates(result.Table)
	for _, c := range result.Changes {
		number := max(c.Before.Number, c.After.Number)
		a.Changes = append(a.Changes, PartitionChange{c.Kind, number, a.place(c.Want, "")})
		if c.Kind == partition.Delete || c.Kind == partition.Replace {
			b.warnLost(paths(c.Want, ""), fact, number)
		}
	}
	if a.WipeTable {
		b.warnWiped(paths(-1, "wipeTable"), fact)
	}
	if c := fact.Content; !blank(c) && c.Usage != probe.Table {
		b.warn(paths(-1, "device"), fmt.Sprintf("%s holds %s, which the partitions overwrite", fact.Device, describeContent(c)), "make sure that nobody needs it")
	}
	b.volumes.partitioned(fact, result)
}

func (b *builder) warnLost(p Path, fact DiskFact, number int) {
	if found, ok := fact.Partition(number); ok && found.Content.Type != "" {
		b.warn(p, fmt.Sprintf("partition %d of %s holds %s, which is lost", number, fact.Device, describeContent(found.Content)),
			"make sure that nobody needs it")
	}
}

func (b *builder) warnWiped(p Path, fact DiskFact) {
	for _, found := range fact.Partitions {
		if found.Content.Type != "" {
			b.warn(p, fmt.Sprintf("with the table, partition %d of %s is lost, which holds %s", found.Number, fact.Device, describeContent(found.Content)),
				"make sure that nobody needs it")
		}
	}
}

// decide works out what to do on a disk as it is.
func (a *PartitionDisk) decide(d DiskFact) (partition.Result, []partition.Fault) {
	whole := func(field, remedy, format string, args ...any) []partition.Fault {
		return []partition.Fault{{Want: -1, Field: field, Message: fmt.Sprintf(format, args...), Remedy: remedy}}
	}
	if d.Use != "" {
		return partition.Result{}, whole("device", "take another disk", "%s is %s", d.Device, d.Use)
	}
	x := partition.Disk{Table: d.Table, Busy: map[int]string{}}
	for _, p := range d.Partitions {
		if p.Use != "" {
			x.Busy[p.Number] = p.Use
		}
	}
	if a.WipeTable {
		for _, p := range d.Partitions {
			if p.Use != "" {
				return partition.Result{}, whole("wipeTable", "leave wipe_table out and describe the partitions to change", "partition %d of %s is %s", p.Number, d.Device, p.Use)
			}
		}
		x.Table.Partitions, x.Table.DiskGUID = nil, gpt.GUID{}
		return partition.Decide(x, a.wants)
	}
	if d.Content.Type == "dos" {
		return partition.Result{}, whole("device", "set wipe_table to replace it", "%s has an MBR partition table", d.Device)
	}
	if d.Content.Type == "gpt" && d.Content.UUID == "" {
		return partition.Result{}, whole("device", "set wipe_table to replace it", "the partition table of %s is damaged in both copies", d.Device)
	}
	return partition.Decide(x, a.wants)
}

func (a *PartitionDisk) do(ctx context.Context, m *machine) (Outcome, error) {
	disks, err := m.disks()
	if err != nil {
		return Failed, err
	}
	d, err := disks.Look(ctx, a.Device)
	if err != nil {
		return Failed, err
	}
	result, faults := a.decide(d)
	if len(faults) > 0 {
		f := faults[0]
		return Failed, &placedError{a.place(f.Want, f.Field), fmt.Errorf("%s; %s", f.Message, f.Remedy)}
	}
	if a.WipeTable && len(result.Table.Partitions) == 0 {
		return Done, disks.ClearTable(ctx, a.Device)
	}
	if !a.WipeTable && !result.Changed() {
		return Kept, nil
	}
	if err := disks.WriteTable(ctx, a.Device, result.Table); err != nil {
		return Failed, err
	}
	return Done, nil
}

func want(p types.Partition) partition.Want {
	return partition.Want{
		Number: p.Number, Label: p.Label, Start: mebibytes(p.StartMiB), Size: mebibytes(p.SizeMiB),
		GUID: value(p.GUID), Type: value(p.TypeGUID), Absent: p.ShouldExist != nil && !*p.ShouldExist,
		Wipe: isTrue(p.WipePartitionEntry), Resize: isTrue(p.Resize),
	}
}

func mebibytes(n *int) *int64 {
	if n == nil {
		return nil
	}
	out := int64(*n)
	return &out
}

func isTrue(b *bool) bool { return b != nil && *b }

// PartitionStates lists the partitions of a table.
func PartitionStates(t gpt.Table) (all []PartitionState) {
	mib := int64(1<<20) / int64(t.SectorSize)
	for _, p := range t.Partitions {
		s := PartitionState{Number: p.Number, Label: p.Name, Type: p.Type.String(), StartMiB: int64(p.First) / mib, SizeMiB: int64(p.Sectors()) / mib}
		if p.GUID != (gpt.GUID{}) {
			s.GUID = p.GUID.String()
		}
		all = append(all, s)
	}
	return all
}

// blank tells whether nothing is known to be on a device.
func blank(c probe.Info) bool { return c.Type == "" }
