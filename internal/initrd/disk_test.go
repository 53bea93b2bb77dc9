//go:build linux

package initrd

import (
	"strings"
	"testing"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
)

const mebi = 1 << 20 / 512 // sectors

func testTable(sectors uint64) gpt.Table {
	return gpt.Table{DiskGUID: gpt.MustGUID(layout.ImageDiskGUID), SectorSize: 512, Sectors: sectors, Partitions: []gpt.Partition{
		{Number: 1, Name: "EFI-SYSTEM", Type: typeESP, GUID: gpt.GUID{1}, First: 2 * mebi, Last: 42*mebi - 1},
		{Number: 3, Name: "USR-A", Type: typeUsr, GUID: gpt.GUID{3}, First: 42 * mebi, Last: 44*mebi - 1},
		{Number: 4, Name: "USR-B", Type: typeUsr, GUID: gpt.GUID{4}, First: 44 * mebi, Last: 46*mebi - 1},
		{Number: 6, Name: "OEM", Type: gpt.MustGUID(layout.TypeData), GUID: gpt.GUID{6}, First: 46 * mebi, Last: 48*mebi - 1},
		{Number: 9, Name: "ROOT", Type: typeRoot, GUID: gpt.GUID{9}, First: 48 * mebi, Last: 52*mebi - 1},
	}}
}

func TestPlanDisk(t *testing.T) {
	fresh := gpt.GUID{0xff}
	for _, c := range []struct {
		name      string
		change    func(*gpt.Table)
		damaged   Damaged
		sectors   uint64
		randomize bool
		want      string // of String, GUIDs included
		rootLast  uint64
	}{
		{"the image's own size", nil, "", 53 * mebi, false, "new disk GUID " + fresh.String(), 52*mebi - 1},
		{"settled", func(t *gpt.Table) { t.DiskGUID = gpt.GUID{7} }, "", 53 * mebi, false, "", 52*mebi - 1},
		{"asked for", func(t *gpt.Table) { t.DiskGUID = gpt.GUID{7} }, "", 53 * mebi, true, "new disk GUID " + fresh.String(), 52*mebi - 1},
		{"larger disk", func(t *gpt.Table) { t.DiskGUID = gpt.GUID{7} }, "", 100 * mebi, false,
			"table grown from 53 to 100 MiB, partition 9 grown to 51 MiB", 99*mebi - 1},
		{"not the last", func(t *gpt.Table) {
			t.DiskGUID = gpt.GUID{7}
			t.Partitions = append(t.Partitions, gpt.Partition{Number: 10, Type: gpt.GUID{1}, GUID: gpt.GUID{10}, First: 52 * mebi, Last: 52*mebi + 7})
		}, "", 100 * mebi, false, "table grown from 53 to 100 MiB", 52*mebi - 1},
		{"RAID member", func(t *gpt.Table) {
			t.DiskGUID = gpt.GUID{7}
			t.Partitions[4].Type = gpt.MustGUID(layout.TypeRootRAID)
		}, "", 100 * mebi, false, "table grown from 53 to 100 MiB", 52*mebi - 1},
		{"primary damaged", func(t *gpt.Table) { t.DiskGUID = gpt.GUID{7} }, "primary", 53 * mebi, false, "repaired the primary partition table", 52*mebi - 1},
	} {
		table := testTable(53 * mebi)
		if c.change != nil {
			c.change(&table)
		}
		plan, err := PlanDisk(table, c.damaged, c.sectors, c.randomize, func() gpt.GUID { return fresh })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		root, _ := plan.Table.Partition(layout.Root)
		if plan.String() != c.want || root.Last != c.rootLast || plan.RootGrew != strings.Contains(c.want, "partition 9") {
			t.Errorf("%s: %q, root ends at %d, grew %v; want %q and %d", c.name, plan, root.Last, plan.RootGrew, c.want, c.rootLast)
		}
		if old, _ := table.Partition(layout.Root); old.Last != 52*mebi-1 {
			t.Errorf("%s: the given table was changed", c.name)
		}
		if err := plan.Table.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
