package daytwo

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"wellcar.dev/internal/provision"
)

// Op is what is done to an object.
type Op string

// The operations. Keep means that a person changed it and the configs agree.
const (
	Add    Op = "add"
	Alter  Op = "change"
	Remove Op = "remove"
	Keep   Op = "keep"
)

// Need is what a change cannot be made without.
type Need string

// The needs. The disks are no matter of a machine that runs.
const (
	NeedReboot    Need = "reboot"
	NeedWipe      Need = "wipe"
	NeedFirstBoot Need = "first boot"
)

// Change is one difference.
type Change struct {
	Op       Op                 `json:"op"`
	What     string             `json:"what"`
	Name     string             `json:"name"`
	At       provision.Position `json:"at,omitzero"` // in the new config, or in the old one if it is removed
	Detail   string             `json:"detail,omitempty"`
	Conflict string             `json:"conflict,omitempty"` // what a person changed that would be lost
	Need     Need               `json:"need,omitempty"`

	old, item *Item           // of a path
	step      *provision.Step // of a new account
	group     bool
	args      []string // of usermod or groupmod
	enable    *bool    // of a unit
	kernel    *provision.KernelArguments
}

// String is the change in one line, without the place.
func (c Change) String() string {
	text := fmt.Sprintf("%s %s %s", c.Op, c.What, c.Name)
	if c.Detail != "" {
		text += " (" + c.Detail + ")"
	}
	if c.Conflict != "" {
		text += "; CONFLICT: " + c.Conflict
	}
	if c.Need != "" {
		text += "; needs a " + string(c.Need)
	}
	return text
}

// Plan is what to do to get from one config to another.
type Plan struct {
	Changes []Change `json:"changes"`
	Kept    []Change `json:"kept,omitempty"` // changed by hand, and left so

	restart []string // units whose files change
}

// Empty tells whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Changes) == 0 }

// Allow says what Refuse lets pass. What is tried must be such that it can be
// undone.
type Allow struct{ Force, Reboot, Wipe, Try bool }

// Refuse returns what stands in the way as problems, at their places.
func (p Plan) Refuse(a Allow) error {
	var r provision.Report
	add := func(c Change, message, remedy string) {
		r = append(r, provision.Problem{Severity: provision.Error, Position: c.At, Message: message, Remedy: remedy})
	}
	for _, c := range p.Changes {
		name := c.What + " " + c.Name
		switch {
		case c.Conflict != "" && !a.Force:
			add(c, name+": "+c.Conflict, "give --force to replace it, or take the change into the config")
		case c.Need == NeedFirstBoot:
			add(c, name+": only a first boot changes disks", "leave them as they are in the config that was applied, or provision the machine anew (flatcar-reset)")
		case c.Need == NeedWipe && a.Try:
			add(c, name+": this can destroy data, and then nothing could undo it", "give --allow-wipe without --try")
		case c.Need == NeedWipe && !a.Wipe:
			add(c, name+": this can destroy data", "give --allow-wipe")
		case c.Need == NeedReboot && !a.Reboot:
			add(c, name+": this needs a reboot", "give --allow-reboot, and the machine restarts at once")
		}
	}
	return r.Err()
}

// Diff compares the config that was applied, the new one and the machine.
func Diff(old, new State, f Facts) Plan {
	var p Plan
	p.accounts(old.Groups, new.Groups, f, true)
	p.accounts(old.Users, new.Users, f, false)
	for _, name := range paths(old, new) {
		p.path(item(old, name), item(new, name), f)
	}
	p.units(old, new, f)
	p.kernel(old.Steps, new.Steps)
	p.disks(old.Steps, new.Steps)
	p.restarts(f)
	return p
}

func item(s State, path string) *Item {
	if i, ok := s.Items[path]; ok {
		return &i
	}
	return nil
}

func (p *Plan) path(old, new *Item, f Facts) {
	if new == nil {
		p.removed(*old, f)
		return
	}
	n := f.Nodes[new.Path]
	differs := new.differs(n, f)
	c := Change{Op: Alter, What: new.What, Name: new.Name, At: new.At, Detail: strings.Join(differs, ", "), old: old, item: new}
	switch {
	case len(differs) == 0 && (old == nil || old.equal(*new) || new.known(n)):
		return
	case old == nil && n.Kind == Missing:
		c.Op, c.Detail = Add, new.detail()
	case old == nil:
		if new.Appends {
			c.Conflict = "appending is for a first boot; here it would be done again each time"
		} else if !new.Replace && !(n.Kind == new.Kind && new.Kind == Directory) {
			c.Conflict = fmt.Sprintf("there is a %s already that no config made", n.Kind)
		}
	case old.equal(*new):
		c.Op, c.Detail = Keep, "changed by hand: "+c.Detail
		p.Kept = append(p.Kept, c)
		return
	default:
		if byHand := old.differs(n, f); len(byHand) > 0 {
			c.Conflict = "changed by hand since: " + strings.Join(byHand, ", ")
		}
		if len(differs) == 0 {
			c.Detail = "content"
		}
	}
	if n.Kind == Directory && new.Kind != Directory {
		c.Need = NeedWipe // of all that is below
	}
	p.Changes = append(p.Changes, c)
}

func (p *Plan) removed(old Item, f Facts) {
	n := f.Nodes[old.Path]
	if n.Kind == Missing || old.Kind == File && old.Content == nil {
		return // gone already, or a file that only got an owner or mode
	}
	c := Change{Op: Remove, What: old.What, Name: old.Name, At: old.At, old: &old}
	if byHand := old.differs(n, f); len(byHand) > 0 {
		c.Conflict = "changed by hand since: " + strings.Join(byHand, ", ")
	}
	if f.Shipped[old.Path] {
		c.Detail = "the image's own comes back"
	}
	p.Changes = append(p.Changes, c)
}

func (i Item) detail() string {
	switch i.Kind {
	case Symlink, HardLink:
		return "to " + i.Target
	case File:
		if i.Content != nil {
			return i.Content.String()
		}
	}
	return ""
}

// equal tells whether two configs want the same of a path.
func (i Item) equal(o Item) bool {
	return i.Kind == o.Kind && i.Sum == o.Sum && i.Appends == o.Appends && i.Target == o.Target && sameMode(i.Mode, o.Mode) &&
		sameOwner(i.User, o.User) && sameOwner(i.Group, o.Group) && i.source() == o.source()
}

// source is where a content that has no digest comes from.
func (i Item) source() string {
	if i.Content == nil || i.Sum != "" {
		return ""
	}
	if r, remote := i.Content.Remote(); remote {
		return r.URL + " " + r.Hash
	}
	return i.Content.SHA256()
}

func sameMode(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }

func sameOwner(a, b provision.Owner) bool {
	return a.Name == b.Name && (a.ID == b.ID || a.ID != nil && b.ID != nil && *a.ID == *b.ID)
}

// known tells whether the content on the machine can be judged.
func (i Item) known(Node) bool { return i.Kind != File || i.Content == nil || i.Sum != "" }

// differs says in what a node is not as the item wants it.
func (i Item) differs(n Node, f Facts) []string {
	want := i.Kind
	if want == HardLink {
		want = File
	}
	switch {
	case n.Kind == Missing:
		return []string{"missing"}
	case n.Kind != want:
		return []string{"a " + string(n.Kind)}
	}
	var out []string
	if i.Kind == File && i.Sum != "" && n.Sum != i.Sum && !(i.Path == presetFile && presetsMade(string(i.Content.Bytes()), n.text)) {
		out = append(out, "content")
	}
	if i.Kind == Symlink && path.Clean(n.Target) != path.Clean(i.Target) {
		out = append(out, "leads to "+n.Target)
	}
	if i.Mode != nil && i.Kind != Symlink && uint32(*i.Mode) != n.Perm {
		out = append(out, fmt.Sprintf("mode %04o instead of %04o", n.Perm, *i.Mode))
	}
	if i.Kind == HardLink {
		return out
	}
	if uid, known := f.uid(i.User); known && uid != n.UID {
		out = append(out, fmt.Sprintf("owner %d instead of %d", n.UID, uid))
	}
	if gid, known := f.gid(i.Group); known && gid != n.GID {
		out = append(out, fmt.Sprintf("group %d instead of %d", n.GID, gid))
	}
	return out
}

func (f Facts) uid(o provision.Owner) (int, bool) {
	if o.ID != nil {
		return *o.ID, true
	}
	a, ok := f.Users[o.Name]
	return a.UID, ok && o.Name != ""
}

func (f Facts) gid(o provision.Owner) (int, bool) {
	if o.ID != nil {
		return *o.ID, true
	}
	id, ok := f.Groups[o.Name]
	return id, ok && o.Name != ""
}

func (p *Plan) units(old, new State, f Facts) {
	for _, name := range union(old.Units, new.Units) {
		was, had := old.Units[name]
		want, has := new.Units[name]
		state := f.Units[name].Enabled
		if !has {
			want = false
			if !had || !was {
				continue
			}
		}
		c := Change{Op: Alter, What: "unit", Name: name, At: new.UnitAt[name], Detail: "disable and stop", enable: &want}
		if want {
			c.Detail = "enable and start"
		}
		if !has {
			c.At = old.UnitAt[name]
		}
		now := state == "enabled"
		if had && has && was == want {
			if state != "" && now != want && !passive(state) {
				c.Op, c.Detail = Keep, "by hand it is "+state
				p.Kept = append(p.Kept, c)
			}
			continue
		}
		if state != "" && now == want && !(!has && now) {
			continue
		}
		p.Changes = append(p.Changes, c)
	}
}

// passive are states of units that cannot be enabled.
func passive(state string) bool {
	return state == "static" || state == "indirect" || state == "generated"
}

// disks compares the steps of disks and file systems as whole texts.
func (p *Plan) disks(old, new []provision.Step) {
	had := map[string]bool{}
	for _, s := range old {
		had[string(s.Stage)+s.Describe()] = true
	}
	for _, s := range new {
		if s.Stage == provision.StageKargs || had[string(s.Stage)+s.Describe()] {
			continue
		}
		sum := s.Action.Summary()
		p.Changes = append(p.Changes, Change{Op: Add, What: strings.TrimSpace(sum.Verb + " " + sum.What), Name: sum.Name, Detail: sum.Detail, At: s.At, Need: NeedFirstBoot})
	}
}

// restarts finds the units that run and whose files change.
func (p *Plan) restarts(f Facts) {
	seen := map[string]bool{}
	for _, c := range p.Changes {
		for _, i := range []*Item{c.old, c.item} {
			if i != nil && i.Unit != "" && f.Units[i.Unit].Active && !seen[i.Unit] && c.Op != Remove {
				seen[i.Unit] = true
				p.restart = append(p.restart, i.Unit)
			}
		}
	}
	sort.Strings(p.restart)
}

func union[V any](a, b map[string]V) []string {
	all := map[string]bool{}
	for n := range a {
		all[n] = true
	}
	for n := range b {
		all[n] = true
	}
	out := make([]string, 0, len(all))
	for n := range all {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
