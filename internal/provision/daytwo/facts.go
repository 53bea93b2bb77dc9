package daytwo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/rootfs"
)

// shippedEtc is where the image keeps its own /etc.
const shippedEtc = "/" + layout.ShippedEtc

const systemctl = "/usr/bin/systemctl"

// Node is what there is at a path of the machine.
type Node struct {
	Kind   Kind   `json:"kind,omitempty"`
	Perm   uint32 `json:"perm,omitempty"`
	UID    int    `json:"uid,omitempty"`
	GID    int    `json:"gid,omitempty"`
	Sum    string `json:"sha256,omitempty"` // of a file
	Target string `json:"target,omitempty"` // of a link

	text string // of the preset file, if Gather looked
}

// UnitState is how systemd sees a unit.
type UnitState struct {
	Enabled string `json:"enabled,omitempty"` // as systemctl is-enabled; "": there is no such unit, or nobody to ask
	Active  bool   `json:"active,omitempty"`
}

// Facts are what the machine is like where a config says something of it.
type Facts struct {
	Nodes   map[string]Node // by path
	Shipped map[string]bool // paths below /etc that the image has a default of
	Users   map[string]provision.Account
	Groups  map[string]int
	Logins  map[string]Login // of users in the machine's account files
	Image   map[string]Login // of those in the image's
	Units   map[string]UnitState
	Kernel  *Line // see NextLine; nil: not known, or no config asks
}

// Gather looks at a machine as far as the states say something of it.
func Gather(ctx context.Context, t provision.Target, states ...State) (Facts, error) {
	f := Facts{Nodes: map[string]Node{}, Shipped: map[string]bool{}, Users: map[string]provision.Account{},
		Groups: map[string]int{}, Units: map[string]UnitState{}}
	for _, p := range paths(states...) {
		n, err := look(t.Files, p)
		if err != nil {
			return f, fmt.Errorf("looking at %s: %w", p, err)
		}
		if p == presetFile && n.Kind == File {
			data, err := t.Files.ReadFile(p)
			if err != nil {
				return f, fmt.Errorf("looking at %s: %w", p, err)
			}
			n.text = string(data)
		}
		f.Nodes[p] = n
		if rest, ok := strings.CutPrefix(p, "/etc/"); ok {
			_, err := t.Files.Lstat(path.Join(shippedEtc, rest))
			f.Shipped[p] = err == nil
		}
	}
	for _, s := range states {
		if err := f.accounts(ctx, t, s); err != nil {
			return f, err
		}
		f.units(ctx, t, s)
	}
	var err1, err2 error
	f.Logins, err1 = logins(t.Files, "/etc")
	f.Image, err2 = logins(t.Files, shippedEtc)
	return f, errors.Join(err1, err2)
}

func look(files provision.Files, name string) (Node, error) {
	info, err := files.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || notADirectory(err) {
		return Node{}, nil
	}
	if err != nil {
		return Node{}, err
	}
	n := Node{Kind: kindOf(info), Perm: info.Perm, UID: info.UID, GID: info.GID}
	switch n.Kind {
	case File:
		data, err := files.ReadFile(name)
		n.Sum = sum(data)
		return n, err
	case Symlink:
		n.Perm = 0
		n.Target, err = files.Readlink(name)
	}
	return n, err
}

func kindOf(i rootfs.Info) Kind {
	switch {
	case i.Regular():
		return File
	case i.Dir():
		return Directory
	case i.Symlink():
		return Symlink
	}
	return Special
}

func (f *Facts) accounts(ctx context.Context, t provision.Target, s State) error {
	users, groups := map[string]bool{}, map[string]bool{}
	for _, i := range s.Items {
		users[i.User.Name], groups[i.Group.Name] = true, true
	}
	for u, w := range s.Users {
		users[u] = true
		groups[w.user().PrimaryGroup], groups[u], groups[usersGroup] = true, true, true
	}
	for g := range s.Groups {
		groups[g] = true
	}
	delete(users, "")
	delete(groups, "")
	for name := range users {
		a, ok, err := t.User(ctx, name)
		if err != nil {
			return fmt.Errorf("looking up the user %s: %w", name, err)
		}
		if ok {
			f.Users[name] = a
		}
	}
	for name := range groups {
		id, ok, err := t.Group(ctx, name)
		if err != nil {
			return fmt.Errorf("looking up the group %s: %w", name, err)
		}
		if ok {
			f.Groups[name] = id
		}
	}
	return nil
}

// units asks systemd. A machine on which nothing can be run has no states.
func (f *Facts) units(ctx context.Context, t provision.Target, s State) {
	if t.Run == nil {
		return
	}
	names := map[string]bool{}
	for u := range s.Units {
		names[u] = true
	}
	for _, i := range s.Items {
		if i.Unit != "" && !strings.Contains(i.Unit, "@.") {
			names[i.Unit] = true
		}
	}
	for u := range names {
		f.Units[u] = unitState(ctx, t, u)
	}
}

// unitState takes answers that come with a failure, as those of systemctl do.
func unitState(ctx context.Context, t provision.Target, unit string) UnitState {
	enabled, _ := t.Run(ctx, systemctl, "is-enabled", unit)
	active, _ := t.Run(ctx, systemctl, "is-active", unit)
	state := strings.TrimSpace(string(active))
	return UnitState{Enabled: strings.TrimSpace(string(enabled)), Active: state == "active" || state == "activating" || state == "reloading"}
}

// notADirectory tells whether a part of a path is something else, so that
// there is nothing at the path.
func notADirectory(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
