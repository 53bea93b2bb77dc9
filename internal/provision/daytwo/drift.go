package daytwo

import (
	"fmt"
	"strings"

	"wellcar.dev/internal/provision"
)

// Difference is something that a person changed by hand.
type Difference struct {
	What   string             `json:"what"`
	Name   string             `json:"name"`
	At     provision.Position `json:"at,omitzero"` // of what the config says of it
	Detail string             `json:"detail"`
}

// String is the difference in one line, without the place.
func (d Difference) String() string { return d.What + " " + d.Name + ": " + d.Detail }

// Drift lists in what a machine is not as the applied config made it.
func Drift(applied State, f Facts) []Difference {
	var out []Difference
	for _, group := range []bool{true, false} {
		out = append(out, missingAccounts(applied, f, group)...)
	}
	for _, name := range paths(applied) {
		i := applied.Items[name]
		if differs := i.differs(f.Nodes[name], f); len(differs) > 0 {
			out = append(out, Difference{i.What, i.Name, i.At, strings.Join(differs, ", ")})
		}
	}
	for _, name := range union(applied.Units, nil) {
		state, want := f.Units[name].Enabled, applied.Units[name]
		if state == "" || passive(state) || (state == "enabled") == want {
			continue
		}
		wanted := "disabled"
		if want {
			wanted = "enabled"
		}
		out = append(out, Difference{"unit", name, applied.UnitAt[name], fmt.Sprintf("%s instead of %s", state, wanted)})
	}
	return append(out, kernelDiffers(applied.Steps, f.Kernel)...)
}

func missingAccounts(s State, f Facts, group bool) []Difference {
	wanted, what := s.Users, "user"
	if group {
		wanted, what = s.Groups, "group"
	}
	var out []Difference
	for _, name := range union(wanted, nil) {
		_, there := f.Users[name]
		if group {
			_, there = f.Groups[name]
		}
		if !there {
			out = append(out, Difference{what, name, wanted[name].Step.At, "missing"})
			continue
		}
		if group {
			continue
		}
		if d := accountDiffers(f.Users[name], wanted[name]); d != "" {
			out = append(out, Difference{what, name, wanted[name].Step.At, d})
		}
	}
	return out
}

// accountDiffers says in what an account is not as it is wanted.
func accountDiffers(a provision.Account, w Wanted) string {
	u := w.user()
	var out []string
	if u.UID != nil && *u.UID != a.UID {
		out = append(out, fmt.Sprintf("uid %d instead of %d", a.UID, *u.UID))
	}
	if u.Shell != "" && u.Shell != a.Shell {
		out = append(out, fmt.Sprintf("shell %s instead of %s", a.Shell, u.Shell))
	}
	if u.Home != "" && u.Home != a.Home {
		out = append(out, fmt.Sprintf("home %s instead of %s", a.Home, u.Home))
	}
	return strings.Join(out, ", ")
}
