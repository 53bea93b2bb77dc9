package daytwo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/rootfs"
)

// ErrTrying says that an earlier change waits for an answer.
var ErrTrying = errors.New("a change is being tried: confirm it (wellcard apply --confirm) or undo it (wellcard apply --undo) first")

// Config is what is kept of the new config.
type Config struct{ JSON, Places []byte }

// Apply makes the changes of a plan, and tells whether the machine must
// restart for them. After an error everything is as before, as far as the
// error does not say otherwise. With a time to try it the change is for the
// caller to Confirm or to Undo; the next boot undoes what is not confirmed,
// or, if the change needs that boot, lets the time begin: Resume.
func Apply(ctx context.Context, t provision.Target, p Plan, c Config, try time.Duration) (restart bool, err error) {
	switch j, err := LoadJournal(t.Files); {
	case err == nil && j.Phase != Applied:
		return false, ErrTrying
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	if ch, ok := p.kernelChange(); ok && t.Kernel == nil {
		return false, &failure{ch, errNoKernel}
	}
	j, err := save(ctx, t, p)
	if err != nil {
		return false, fmt.Errorf("saving what is to be changed: %w", err)
	}
	t.NoSync = true
	restart, err = change(ctx, t, p, c)
	if err == nil {
		err = j.noteLeft(t.Files)
	}
	if err != nil {
		if _, undone := Undo(context.WithoutCancel(ctx), t, j, true); undone != nil {
			return false, fmt.Errorf("%w; undoing what was done before it: %w", err, undone)
		}
		return false, fmt.Errorf("%w; everything is as it was", err)
	}
	j.Phase, j.Try = phaseAfter(try > 0, restart), try
	return restart, j.store(t.Files)
}

func phaseAfter(try, restart bool) Phase {
	switch {
	case try && restart:
		return Restarting
	case try:
		return Trying
	}
	return Applied
}

// Confirm makes the change that is being tried last.
func Confirm(files provision.Files) error {
	j, err := LoadJournal(files)
	switch {
	case err == nil && j.Phase == Restarting:
		return errors.New("the change is being tried from the restart on: confirm it then")
	case errors.Is(err, fs.ErrNotExist) || err == nil && j.Phase != Trying:
		return errors.New("nothing is being tried: the time is over, or it was confirmed before")
	case err != nil:
		return err
	}
	j.Phase = Applied
	return j.store(files)
}

// Resume tells for how long a change that needed this boot is to be tried
// from now on.
func Resume(files provision.Files, j Journal) (time.Duration, error) {
	j.Phase = Trying
	return j.Try, j.store(files)
}

// change makes all changes, those that systemd follows last.
func change(ctx context.Context, t provision.Target, p Plan, c Config) (restart bool, err error) {
	u := systemd{ctx, t, true}
	for _, ch := range p.Changes {
		if ch.enable != nil && !*ch.enable {
			u.try("disable", ch.Name)
			u.try("stop", ch.Name)
		} else if ch.Op == Remove && ch.What == "unit" {
			u.try("stop", ch.Name)
		}
	}
	if err := accounts(ctx, t, p); err != nil {
		return false, err
	}
	for _, ch := range ordered(p.Changes) {
		if err := one(ctx, t, ch); err != nil {
			return false, &failure{ch, err}
		}
	}
	if err := mergeKeys(ctx, t, keysOf(p)); err != nil {
		return false, err
	}
	if err := keep(t.Files, c); err != nil {
		return false, err
	}
	if ch, ok := p.kernelChange(); ok {
		if restart, err = setKernel(ctx, t, ch.kernel); err != nil {
			return false, &failure{ch, err}
		}
	}
	u.network(changedPaths(p))
	return restart, switchUnits(u, p)
}

func changedPaths(p Plan) []string {
	var out []string
	for _, c := range p.Changes {
		for _, i := range []*Item{c.old, c.item} {
			if i != nil {
				out = append(out, i.Path)
			}
		}
	}
	return out
}

// failure is a change that could not be made.
type failure struct {
	change Change
	err    error
}

// Error is one sentence with the place in the user's text.
func (f *failure) Error() string {
	text := fmt.Sprintf("cannot %s %s %s: %v", f.change.Op, f.change.What, f.change.Name, f.err)
	if at := f.change.At.String(); at != "" {
		return at + ": " + text
	}
	return text
}

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// accounts takes the steps of the config that make accounts, then changes
// those that are there; groups come before users, and what goes goes last.
func accounts(ctx context.Context, t provision.Target, p Plan) error {
	var steps []provision.Step
	for _, c := range p.Changes {
		if c.step != nil {
			steps = append(steps, *c.step)
		}
	}
	if err := provision.Apply(ctx, provision.Plan{Steps: steps}, t); err != nil {
		return err
	}
	for _, op := range []Op{Alter, Remove} {
		for _, c := range p.Changes {
			if c.Op != op || c.What != "user" && c.What != "group" {
				continue
			}
			if t.Run == nil {
				return &failure{c, errors.New("programs of this machine cannot be run")}
			}
			if _, err := t.Run(ctx, c.tool(), append(c.args, c.Name)...); err != nil {
				return &failure{c, err}
			}
		}
	}
	return nil
}

// tool is the program that changes or removes an account.
func (c Change) tool() string {
	what, how := "user", "mod"
	if c.group {
		what = "group"
	}
	if c.Op == Remove {
		how = "del"
	}
	return "/usr/sbin/" + what + how
}

// ordered puts what is made first, by depth and hard links last, then what is
// removed, the deepest first.
func ordered(changes []Change) []Change {
	var made, gone []Change
	for _, c := range changes {
		switch {
		case c.item != nil:
			made = append(made, c)
		case c.old != nil:
			gone = append(gone, c)
		}
	}
	sort.SliceStable(made, func(i, j int) bool {
		a, b := made[i].item, made[j].item
		if (a.Kind == HardLink) != (b.Kind == HardLink) {
			return b.Kind == HardLink
		}
		return strings.Count(a.Path, "/") < strings.Count(b.Path, "/")
	})
	sort.SliceStable(gone, func(i, j int) bool {
		return strings.Count(gone[i].old.Path, "/") > strings.Count(gone[j].old.Path, "/")
	})
	return append(made, gone...)
}

// one changes one path.
func one(ctx context.Context, t provision.Target, c Change) error {
	if c.item == nil {
		return remove(t.Files, *c.old)
	}
	i := *c.item
	if i.keys() {
		return provision.Apply(ctx, provision.Plan{Steps: []provision.Step{i.step}}, t)
	}
	now, err := look(t.Files, i.Path)
	if err != nil {
		return err
	}
	if err := t.Files.MkdirAll(path.Dir(i.Path), 0o755); err != nil {
		return err
	}
	if now.Kind != Missing && now.Kind != i.Kind || i.Kind == HardLink {
		if err := t.Files.RemoveAll(i.Path); err != nil {
			return err
		}
		now = Node{}
	}
	uid, gid, err := owner(ctx, t, i, now)
	if err != nil {
		return err
	}
	return make1(ctx, t, i, now, uid, gid)
}

// make1 makes an item over what is there, which is of its kind or nothing.
func make1(ctx context.Context, t provision.Target, i Item, now Node, uid, gid int) error {
	switch i.Kind {
	case Directory:
		perm := permOf(i.Mode, now, 0o755)
		if now.Kind == Missing {
			if err := t.Files.Mkdir(i.Path, perm); err != nil {
				return err
			}
		}
		return access(t.Files, i.Path, uid, gid, perm)
	case Symlink:
		if now.Kind == Symlink {
			if err := t.Files.RemoveAll(i.Path); err != nil {
				return err
			}
		}
		if err := t.Files.Symlink(i.Target, i.Path); err != nil {
			return err
		}
		return t.Files.Chown(i.Path, uid, gid)
	case HardLink:
		return t.Files.Link(i.Target, i.Path)
	}
	perm := permOf(i.Mode, now, 0o644)
	if now.Kind == File && (i.Content == nil || i.Appends || i.Sum != "" && i.Sum == now.Sum) {
		return access(t.Files, i.Path, uid, gid, perm)
	}
	return t.Files.WriteFrom(i.Path, rootfs.Meta{Perm: perm, UID: uid, GID: gid}, func(w io.Writer) error {
		if i.Content == nil {
			return nil
		}
		return i.Content.WriteTo(ctx, t.Fetch, w)
	})
}

// access sets the owner and then the mode, which a change of owner lessens.
func access(files provision.Files, name string, uid, gid int, perm uint32) error {
	if err := files.Chown(name, uid, gid); err != nil {
		return err
	}
	return files.Chmod(name, perm)
}

func permOf(mode *int, now Node, unset uint32) uint32 {
	switch {
	case mode != nil:
		return uint32(*mode)
	case now.Kind != Missing:
		return now.Perm
	}
	return unset
}

func owner(ctx context.Context, t provision.Target, i Item, now Node) (uid, gid int, err error) {
	uid, gid = now.UID, now.GID
	switch {
	case i.User.ID != nil:
		uid = *i.User.ID
	case i.User.Name != "":
		a, ok, err := t.User(ctx, i.User.Name)
		if err != nil || !ok {
			return 0, 0, errors.Join(err, fmt.Errorf("there is no user %s", i.User.Name))
		}
		uid = a.UID
	}
	switch {
	case i.Group.ID != nil:
		gid = *i.Group.ID
	case i.Group.Name != "":
		id, ok, err := t.Group(ctx, i.Group.Name)
		if err != nil || !ok {
			return 0, 0, errors.Join(err, fmt.Errorf("there is no group %s", i.Group.Name))
		}
		gid = id
	}
	return uid, gid, nil
}

// remove removes what a config made. Where the image has a default, that
// comes back; a directory that is in use stays.
func remove(files provision.Files, i Item) error {
	now, err := look(files, i.Path)
	if err != nil || now.Kind == Missing {
		return err
	}
	if now.Kind == Directory {
		if names, err := files.ReadDir(i.Path); err != nil || len(names) > 0 {
			return err
		}
	}
	if rest, ok := strings.CutPrefix(i.Path, "/etc/"); ok {
		shipped := path.Join(shippedEtc, rest)
		if n, err := look(files, shipped); err == nil && n.Kind == File {
			data, err := files.ReadFile(shipped)
			if err != nil {
				return err
			}
			return files.WriteFile(i.Path, data, rootfs.Meta{Perm: n.Perm, UID: n.UID, GID: n.GID})
		}
	}
	return files.RemoveAll(i.Path)
}

// keep stores the new config as the one that is applied.
func keep(files provision.Files, c Config) error {
	if err := files.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	if err := files.WriteFile(PlacesFile, c.Places, rootfs.Meta{Perm: 0o600}); err != nil {
		return err
	}
	return files.WriteFile(ConfigFile, c.JSON, rootfs.Meta{Perm: 0o600})
}

// switchUnits makes systemd follow the files.
func switchUnits(u systemd, p Plan) error {
	reload := len(p.restart) > 0 || slices.ContainsFunc(p.Changes, func(c Change) bool { return c.enable != nil }) ||
		slices.ContainsFunc(changedPaths(p), func(name string) bool { return strings.HasPrefix(name, unitDir+"/") })
	if !reload {
		return nil
	}
	if err := u.run("daemon-reload"); err != nil {
		return fmt.Errorf("making systemd read its units again: %w", err)
	}
	for _, c := range p.Changes {
		if c.enable != nil && *c.enable {
			if err := u.run("enable", c.Name); err != nil {
				return &failure{c, err}
			}
			u.try("start", c.Name)
		}
	}
	if len(p.restart) > 0 {
		u.try("try-restart", p.restart...)
	}
	for _, c := range p.Changes {
		if c.item != nil && c.item.What == "mask of unit" {
			u.try("stop", c.Name)
		}
	}
	return nil
}
