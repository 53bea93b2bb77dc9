//go:build linux

package update

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"wellcar.dev/internal/slot"
)

// Facts are what a person is told about the updates of a machine.
type Facts struct {
	Version  string // that runs
	Settings Settings
	State    slot.State
	Kept     State
	Bad      []slot.Bad
}

// ReadFacts collects them below a root.
func ReadFacts(root string, boot Boot) (f Facts, err error) {
	if f.Settings, err = LoadSettings(root); err != nil {
		return f, err
	}
	f.Version = f.Settings.Get("FLATCAR_RELEASE_VERSION")
	if f.Kept, err = LoadState(root); err != nil {
		return f, err
	}
	if f.Bad, err = LoadBad(root); err != nil {
		return f, err
	}
	state, err := boot.State()
	if errors.Is(err, fs.ErrPermission) {
		return f, nil // the zero state says that it is not known
	}
	f.State = state
	return f, err
}

// Explain says in lines what runs, what starts next, and what was decided.
func (f Facts) Explain() string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", what, fmt.Sprintf(format, args...))
	}
	f.Summary().explainSlots(line)
	if server, ok := f.Settings.Server(); ok {
		line("Updates:", "group %s of %s", f.Settings.Group(), server)
	} else {
		line("Updates:", "off, because SERVER=%s", f.Settings.Get("SERVER"))
	}
	if d := f.Kept.Decision; d.Version != "" {
		line("Last decision:", "%s is %s: %s (%s)", d.Version, outcomes[d.Outcome], d.Reason, d.When)
	}
	for _, bad := range f.Bad {
		line("Given up:", "%s on %s: %s", bad.Version, bad.When.UTC().Format(time.DateOnly), bad.Reason)
	}
	return b.String()
}

func (s Summary) explainSlots(line func(what, format string, args ...any)) {
	if s.Booted == "" {
		line("Running:", "%s; only root can see the slots", s.Version)
		return
	}
	line("Running:", "%s in slot %s, %s", s.Version, s.Booted, s.Slots[s.Booted].words())
	id := string(slot.ID(s.Booted).Other())
	if other := s.Slots[id]; other.Version != "" {
		line("Other slot:", "%s in slot %s, %s", other.Version, id, other.words())
	} else {
		line("Other slot:", "nothing that can start in slot %s", id)
	}
	if s.Next != "" {
		line("Next boot:", "%s", s.Next)
	}
}

var outcomes = map[string]string{"good": "good", "bad": "given up", "held": "not healthy", "pending": "waiting for a reboot"}

// words says a slot's state to people.
func (u Use) words() string {
	if u.State == "trial" {
		return fmt.Sprintf("not proved yet, %d starts left", u.Starts)
	}
	return map[string]string{"none": "without a kernel", "good": "good", "held": "good, held back", "held-trial": "not proved yet, held back", "given-up": "given up"}[u.State]
}

// Summary is what Explain says, for programs.
type Summary struct {
	Version  string         `json:"version"` // that runs
	Booted   string         `json:"slot,omitempty"`
	Slots    map[string]Use `json:"slots,omitempty"` // by A and B
	Next     string         `json:"next,omitempty"`  // version of the next boot
	Group    string         `json:"group"`
	Server   string         `json:"server,omitempty"` // none: updates are off
	Decision *Decision      `json:"decision,omitempty"`
	GivenUp  []slot.Bad     `json:"givenUp"`
}

// Use is what a slot holds.
type Use struct {
	Version string `json:"version,omitempty"`
	State   string `json:"state"`            // none, good, held, held-trial, given-up, trial
	Starts  int    `json:"starts,omitempty"` // left of a trial
}

// Summary collects the facts; without root's rights the slots are unknown.
func (f Facts) Summary() Summary {
	s := Summary{Version: f.Version, Group: f.Settings.Group(), GivenUp: append([]slot.Bad{}, f.Bad...)}
	s.Server, _ = f.Settings.Server()
	if f.Kept.Decision.Version != "" {
		s.Decision = &f.Kept.Decision
	}
	if f.State.Booted == "" {
		return s
	}
	s.Booted, s.Slots = string(f.State.Booted), map[string]Use{}
	views := f.State.Views(KeyOf)
	for _, id := range []slot.ID{f.State.Booted, f.State.Booted.Other()} {
		s.Slots[string(id)] = useOf(views[id])
	}
	if order := slot.Order(f.State.Kernels); len(order) > 0 {
		s.Next = order[0].Version
	}
	return s
}

func useOf(v slot.View) Use {
	k := v.Kernel
	switch {
	case k == nil:
		return Use{State: "none"}
	case k.HeldBack():
		return Use{Version: k.Version, State: "held"}
	case k.Good():
		return Use{Version: k.Version, State: "good"}
	case k.Unproved:
		return Use{Version: k.Version, State: "held-trial"}
	case k.Spent():
		return Use{Version: k.Version, State: "given-up"}
	}
	return Use{Version: k.Version, State: "trial", Starts: k.Left}
}

// ForgetBad lets a version be installed again.
func ForgetBad(root, version string) error {
	list, err := LoadBad(root)
	if err != nil {
		return err
	}
	left := slot.Forget(list, version)
	if len(left) == len(list) {
		return fmt.Errorf("forgetting %s: it was not given up", version)
	}
	return SaveBad(root, left)
}
