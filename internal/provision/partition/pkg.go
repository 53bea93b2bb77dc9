// Package partition decides how a partition table becomes the one that a
// configuration asks for. It is pure: a table and a list of wanted entries go
// in, a table and the changes come out, or what stands in the way of which
// entry.
//
// The rules are those of the Ignition specification, "storage.disks"
// (https://coreos.github.io/ignition/configuration-v3_4/), places are chosen
// as sgdisk(8) chooses them: starts and ends at whole MiB, in the largest
// free block.
package partition

import "wellcar.dev/internal/format/gpt"

// Want is one wanted entry.
type Want struct {
	Number int     // 0: the lowest that neither the table nor the list uses
	Label  *string // nil: any
	Start  *int64  // MiB; 0: the start of the largest free block; nil: as it is
	Size   *int64  // MiB; 0: as much as there is; nil: as it is
	GUID   string  // "": any
	Type   string  // GUID; "": any, Linux data for a new one
	Absent bool    // there shall be none of this number
	Wipe   bool    // one that does not match may be deleted
	Resize bool    // one that differs only in size may be resized
}

// Disk is what there is.
type Disk struct {
	Table gpt.Table      // of a disk without a table: size and sector size only
	Busy  map[int]string // partitions that must stay as they are, and why: "mounted on /var"
}

// Kind is what happens to a partition.
type Kind string

// The kinds of change.
const (
	Create  Kind = "create"
	Delete  Kind = "delete"
	Replace Kind = "replace" // delete and create
	Resize  Kind = "resize"  // what it holds stays
	Keep    Kind = "keep"
)

// Change is what happens for one entry. Entries that have nothing to do and
// no partition have no change.
type Change struct {
	Want   int // index of the entry
	Kind   Kind
	Before gpt.Partition // zero for a new one
	After  gpt.Partition // zero for a deleted one; a zero GUID is to be made up when it is written
}

// Result is the outcome of a decision.
type Result struct {
	Table   gpt.Table // as it shall be
	Changes []Change  // in the order of the list
}

// Changed tells whether the table differs from what there is.
func (r Result) Changed() bool {
	for _, c := range r.Changes {
		if c.Kind != Keep {
			return true
		}
	}
	return false
}

// Fault is why an entry cannot be had.
type Fault struct {
	Want    int    // index of the entry
	Field   string // of the entry, as the Ignition specification names it; "" is the whole
	Message string
	Remedy  string
}
