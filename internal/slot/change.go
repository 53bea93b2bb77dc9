package slot

import "fmt"

// MarkGood takes the counter off the running kernel. One that was put behind
// another meanwhile stays there.
func MarkGood(s State) ([]Change, error) {
	k, ok := s.RunningKernel()
	if !ok {
		return nil, fmt.Errorf("marking the running system good: no kernel on the EFI system partition has its root hash %x…", s.Running[:6])
	}
	if k.Good() {
		return nil, nil
	}
	if k.Unproved && !alone(s) {
		return k.to(Name{Version: k.Version, Counted: true}), nil
	}
	return k.to(Name{Version: k.Version}), nil
}

// MarkBad spends what the running kernel has left, so that the other slot is
// next. Without another slot to start it is an error.
func MarkBad(s State, key KeyOf) ([]Change, error) {
	k, ok := s.RunningKernel()
	switch {
	case !ok:
		return nil, fmt.Errorf("marking the running system bad: no kernel on the EFI system partition has its root hash %x…", s.Running[:6])
	case !s.Fallback(key):
		return nil, fmt.Errorf("marking %s bad: there is no other version to go back to", k.Version)
	}
	changes := k.to(Name{Version: k.Version, Counted: true, Done: max(k.Done, 1)})
	return append(changes, releaseHeld(s, k)...), nil
}

// releaseHeld puts a held-back kernel in its place again, now that it is
// needed.
func releaseHeld(s State, but Kernel) (changes []Change) {
	for _, k := range s.Kernels {
		if k != but && (k.HeldBack() || k.Unproved) {
			changes = append(changes, k.to(k.released())...)
		}
	}
	return changes
}

// Clear takes away every kernel that does not start the running system: the
// other slot is about to be overwritten, and nothing may start it meanwhile.
func Clear(s State) (changes []Change) {
	for _, k := range s.Kernels {
		if k.RootHash != s.Running {
			changes = append(changes, Change{From: k.Name})
		}
	}
	return changes
}

// Activate says how the file of a new version is to be named, and what has to
// be renamed before it so that it comes first: a running system of a higher
// version is held back. A running system that has not proved itself is in the
// way, unless it is alone: then there is nothing to go back to but itself.
func Activate(s State, version string, rootHash [32]byte) (name Name, changes []Change, err error) {
	k, ok := s.RunningKernel()
	switch {
	case !ok:
		return Name{}, nil, fmt.Errorf("activating %s: no kernel on the EFI system partition has the running root hash %x…", version, s.Running[:6])
	case !k.Good() && !alone(s):
		return Name{}, nil, fmt.Errorf("activating %s: the running %s has not proved itself yet, so there would be no way back", version, k.Version)
	case k.Version == version:
		return Name{}, nil, fmt.Errorf("activating %s: the running system has this version", version)
	case k.RootHash == rootHash:
		return Name{}, nil, fmt.Errorf("activating %s: the running system is this image", version)
	}
	back := Name{Version: k.Version}
	if Compare(version, k.Version) < 0 {
		back.Counted = true // held back
	}
	return Name{Version: version, Counted: true, Left: Tries}, k.to(back), nil
}

// alone says that nothing but the running system could start.
func alone(s State) bool {
	for _, k := range s.Kernels {
		if k.RootHash != s.Running && !k.Spent() {
			return false
		}
	}
	return true
}

// Deactivate undoes Activate before the reboot: the other slot's kernels go,
// and the running one is first again.
func Deactivate(s State) []Change {
	changes := Clear(s)
	if k, ok := s.RunningKernel(); ok && (k.HeldBack() || k.Unproved) {
		changes = append(changes, k.to(k.released())...)
	}
	return changes
}

// Prioritize makes a slot the one that starts next, as cgpt prioritize does.
// What has not proved itself is still on trial after it was put back and forth.
func Prioritize(s State, id ID, key KeyOf) ([]Change, error) {
	views := s.Views(key)
	first, other := views[id].Kernel, views[id.Other()].Kernel
	if first == nil {
		return nil, fmt.Errorf("putting slot %s first: no kernel on the EFI system partition starts it", id)
	}
	var changes []Change
	if other != nil && !other.Spent() && Compare(other.Version, first.Version) > 0 {
		changes = other.to(other.held())
	}
	if first.HeldBack() || first.Unproved || first.Spent() {
		changes = append(changes, first.to(first.released())...)
	}
	return changes, nil
}

// Set changes tries and success of a slot, as cgpt add -T and -S do. nil
// leaves a value.
func Set(s State, id ID, tries *int, successful *bool, key KeyOf) ([]Change, error) {
	k := s.Views(key)[id].Kernel
	if k == nil {
		return nil, fmt.Errorf("changing slot %s: no kernel on the EFI system partition starts it", id)
	}
	n := k.Name
	if successful != nil {
		switch {
		case *successful && n.Unproved:
			n = Name{Version: n.Version, Counted: true}
		case *successful && !n.Good():
			n = Name{Version: n.Version}
		case !*successful && n.Good():
			n = Name{Version: n.Version, Counted: true, Left: n.Left, Done: 1}
		}
	}
	if tries != nil && n.Counted && !n.HeldBack() {
		n.Left, n.Unproved = *tries, n.Unproved && *tries == 0
	}
	return k.to(n), nil
}
