//go:build linux

// Package cgpt is the partition tool that administrators and scripts of
// Flatcar machines use (surface.md section 11), over package gpt.
//
// On the disk that the machine runs from, priority, tries and successful of
// the two /usr partitions are a view of the boot loader's state: they are read
// from and written to it through Slots, not to the table.
//
// Limits: create, boot and legacy are accepted as far as they mean something
// to a table without a ChromeOS kernel.
package cgpt

import (
	"fmt"
	"sort"
	"strings"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
)

// kind is a partition type with the names that commands and listings use.
type kind struct {
	name, shown, guid string
}

var kinds = []kind{
	{"flatcar-rootfs", "Alias for flatcar-rootfs", layout.TypeUsr},
	{"flatcar-usr", "Alias for flatcar-rootfs", layout.TypeUsr},
	{"coreos-rootfs", "Alias for flatcar-rootfs", layout.TypeUsr},
	{"coreos-usr", "Alias for flatcar-rootfs", layout.TypeUsr},
	{"flatcar-resize", "Flatcar auto-resize", layout.TypeRoot},
	{"coreos-resize", "Flatcar auto-resize", layout.TypeRoot},
	{"flatcar-reserved", "Flatcar reserved", layout.TypeReserved},
	{"coreos-reserved", "Flatcar reserved", layout.TypeReserved},
	{"flatcar-root-raid", "Flatcar root in RAID", layout.TypeRootRAID},
	{"coreos-root-raid", "Flatcar root in RAID", layout.TypeRootRAID},
	{"efi", "EFI System Partition", layout.TypeESP},
	{"bios", "BIOS Boot Partition", layout.TypeBIOSBoot},
	{"data", "Alias for linux-data", layout.TypeData},
	{"linux-data", "Alias for linux-data", layout.TypeData},
	{"linux-swap", "Linux swap", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"},
	{"linux-raid", "Linux RAID", "a19d880f-05fc-4d3b-a006-743f0f84911e"},
	{"linux-lvm", "Linux LVM", "e6d6d379-f507-44c2-a23c-238f2a3df928"},
}

// ParseType reads a type: a name or a GUID.
func ParseType(text string) (gpt.GUID, error) {
	for _, k := range kinds {
		if k.name == text {
			return gpt.MustGUID(k.guid), nil
		}
	}
	g, err := gpt.ParseGUID(text)
	if err != nil {
		var names []string
		for _, k := range kinds {
			names = append(names, k.name)
		}
		sort.Strings(names)
		return g, fmt.Errorf("the type %q is neither a GUID nor one of %s", text, strings.Join(names, ", "))
	}
	return g, nil
}

func shownType(g gpt.GUID) string {
	for _, k := range kinds {
		if gpt.MustGUID(k.guid) == g {
			return k.shown
		}
	}
	return upper(g)
}

func upper(g gpt.GUID) string { return strings.ToUpper(g.String()) }

// Slots is the state of the /usr partitions of the running disk.
type Slots interface {
	// State is that of a partition; ok is false if the table's own counts.
	State(number int) (s gpt.SlotState, ok bool)
	// Set changes tries and successful; nil leaves a value.
	Set(number int, tries *int, successful *bool) error
	// Prioritize makes a partition the next to start.
	Prioritize(number int) error
}

// Disk is a table with what it says about slots.
type Disk struct {
	Table gpt.Table
	Slots Slots // nil: the table's own states count
}

func (d *Disk) state(p gpt.Partition) gpt.SlotState {
	if d.Slots != nil {
		if s, ok := d.Slots.State(p.Number); ok {
			return s
		}
	}
	return gpt.Slot(p.Attributes)
}

var typeUsr = gpt.MustGUID(layout.TypeUsr)
