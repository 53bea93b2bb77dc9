package slot

import "slices"

// Unproven says that a running version has a counter, and is not known to be
// good.
func Unproven(kernels []Name, running string) bool {
	i := slices.IndexFunc(kernels, func(n Name) bool { return n.Version == running })
	return i >= 0 && !kernels[i].Good()
}

// EndsByRestart says whether a running version is on trial and restarts lead
// back from it: its start was counted, so that restarts come to an end, and
// there is something else to start, another version or, by old, the system that
// was there before ours.
func EndsByRestart(kernels []Name, running string, old bool) bool {
	i := slices.IndexFunc(kernels, func(n Name) bool { return n.Version == running })
	if i < 0 || kernels[i].Good() || kernels[i].Done == 0 {
		return false
	}
	return old || slices.ContainsFunc(kernels, func(n Name) bool { return n.Version != running && !n.Spent() })
}

// AfterMenu are the names of kernels as they would be if GRUB, which counted
// starts in its menu, could rename them.
func AfterMenu(kernels []Name, menu map[string]string) []Name {
	out := slices.Clone(kernels)
	for _, c := range Counted(menu) {
		if i := slices.Index(out, c.From); i >= 0 {
			out[i] = *c.To
		}
	}
	return out
}
