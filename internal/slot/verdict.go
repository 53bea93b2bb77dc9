package slot

import (
	"fmt"
	"time"
)

// Bad is a version that was started and given up.
type Bad struct {
	Version  string    `json:"version"`
	RootHash string    `json:"rootHash,omitempty"` // hexadecimal
	Reason   string    `json:"reason"`             // one sentence
	When     time.Time `json:"when"`
}

// Verdict is whether to install an offered version, and why.
type Verdict struct {
	Install bool
	Why     string // one sentence
}

// Judge decides about an offer. wanted is a standing order for exactly this
// version, which allows a lower one; it does not override what is remembered,
// or a machine would install at each check what it gave up.
func Judge(running, offered string, bad []Bad, wanted bool) Verdict {
	if offered == running {
		return Verdict{Why: fmt.Sprintf("%s is running", running)}
	}
	for _, b := range bad {
		if b.Version == offered {
			return Verdict{Why: fmt.Sprintf("%s was given up on %s (%s) and is not installed again until a newer version comes or it is asked for by name", offered, b.When.UTC().Format(time.DateOnly), b.Reason)}
		}
	}
	if wanted {
		return Verdict{true, fmt.Sprintf("%s was asked for", offered)}
	}
	if running != "0.0.0" && Compare(offered, running) <= 0 {
		return Verdict{Why: fmt.Sprintf("%s is not above the running %s", offered, running)}
	}
	return Verdict{true, fmt.Sprintf("%s is above the running %s", offered, running)}
}

// Remember adds a version to the list, or renews what is known of it.
func Remember(list []Bad, b Bad) []Bad {
	out := Forget(list, b.Version)
	return append(out, b)
}

// Forget takes a version off the list.
func Forget(list []Bad, version string) []Bad {
	var out []Bad
	for _, x := range list {
		if x.Version != version {
			out = append(out, x)
		}
	}
	return out
}

// Outcome is what became of a staged update, seen from the next boot.
type Outcome int

// The outcomes.
const (
	NothingStaged Outcome = iota
	Arrived               // the staged version runs
	WentBack              // another runs: the staged one did not prove itself
)

// After tells what became of a staged version. previous is what ran when it
// was staged.
func After(running, staged, previous string) Outcome {
	switch {
	case staged == "":
		return NothingStaged
	case running == staged:
		return Arrived
	case running == previous:
		return WentBack
	}
	return NothingStaged // something else was installed by hand
}
