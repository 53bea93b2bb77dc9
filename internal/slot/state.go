package slot

import (
	"cmp"
	"fmt"
	"slices"
)

// ID is a slot: "A" is partition USR-A, "B" USR-B.
type ID string

// The two slots.
const (
	A ID = "A"
	B ID = "B"
)

// Other is the slot beside it.
func (s ID) Other() ID {
	if s == A {
		return B
	}
	return A
}

// Kernel is a unified kernel image on the EFI system partition.
type Kernel struct {
	Name
	RootHash [32]byte // of the /usr image that it starts
}

// State is everything that decides about the next start.
type State struct {
	Booted  ID
	Running [32]byte   // root hash of the running /usr
	Kernels []Kernel   // all of ours
	Holds   map[ID]Key // what the verity superblock of each slot says; absent: nothing
}

// Key identifies the /usr image in a slot: the id in its verity superblock.
type Key [16]byte

// KeyOf derives a Key from a root hash; the layout knows how.
type KeyOf func(rootHash [32]byte) Key

// View is a slot as cgpt shows it.
type View struct {
	Priority   int
	Tries      int
	Successful bool
	Kernel     *Kernel // nil: nothing can start the slot
}

// Order sorts kernels as systemd-boot does, first to be started first.
func Order(kernels []Kernel) []Kernel {
	out := slices.Clone(kernels)
	slices.SortStableFunc(out, func(a, b Kernel) int {
		return cmp.Or(cmp.Compare(last(a), last(b)), -Compare(a.Version, b.Version), -cmp.Compare(a.Left, b.Left))
	})
	return out
}

func last(k Kernel) int {
	if k.Counted && k.Left == 0 {
		return 1
	}
	return 0
}

// SlotOf is the slot that a kernel starts; ok is false if none holds its
// image.
func (s State) SlotOf(k Kernel, key KeyOf) (ID, bool) {
	for _, id := range []ID{s.Booted, s.Booted.Other()} {
		if held, ok := s.Holds[id]; ok && held == key(k.RootHash) {
			return id, true
		}
	}
	return "", false
}

// Views are both slots. The kernel of a slot is the first in order that
// starts it.
func (s State) Views(key KeyOf) map[ID]View {
	views := map[ID]View{A: {}, B: {}}
	next := 2
	for _, k := range Order(s.Kernels) {
		id, ok := s.SlotOf(k, key)
		if !ok || views[id].Kernel != nil {
			continue
		}
		v := View{Priority: next, Tries: k.Left, Successful: k.Good(), Kernel: &k}
		switch {
		case k.Spent():
			v.Priority = 0
		case k.Unproved:
			v.Tries = Tries // those that it has once it is first again
		}
		views[id] = v
		next--
	}
	if s.single(views) {
		return lowered(views)
	}
	return views
}

// single says that only one slot can start; its priority is 1, as in an image.
func (s State) single(views map[ID]View) bool {
	return (views[A].Kernel == nil) != (views[B].Kernel == nil)
}

func lowered(views map[ID]View) map[ID]View {
	for id, v := range views {
		v.Priority = min(v.Priority, 1)
		views[id] = v
	}
	return views
}

// RunningKernel is the kernel that the machine runs.
func (s State) RunningKernel() (Kernel, bool) {
	for _, k := range Order(s.Kernels) {
		if k.RootHash == s.Running {
			return k, true
		}
	}
	return Kernel{}, false
}

// Fallback says whether the other slot holds something that can start and is
// not known to be bad.
func (s State) Fallback(key KeyOf) bool {
	v := s.Views(key)[s.Booted.Other()]
	return v.Kernel != nil && !v.Kernel.Spent()
}

// Change is a rename of a kernel's file, or a removal.
type Change struct {
	From Name
	To   *Name // nil: remove
}

func (c Change) String() string {
	if c.To == nil {
		return "remove " + c.From.File()
	}
	return fmt.Sprintf("rename %s to %s", c.From.File(), c.To.File())
}

// Apply is what the kernels are after changes.
func Apply(kernels []Kernel, changes []Change) []Kernel {
	out := slices.Clone(kernels)
	for _, c := range changes {
		i := slices.IndexFunc(out, func(k Kernel) bool { return k.Name == c.From })
		switch {
		case i < 0:
		case c.To == nil:
			out = slices.Delete(out, i, i+1)
		default:
			out[i].Name = *c.To
		}
	}
	return out
}

func (k Kernel) to(n Name) []Change {
	if n == k.Name {
		return nil
	}
	return []Change{{From: k.Name, To: &n}}
}
