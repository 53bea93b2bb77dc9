package daytwo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/rootfs"
)

// Dir is where everything about the applied config is kept.
const Dir = "/var/lib/wellcar"

// The files of Dir.
const (
	ConfigFile  = Dir + "/applied.ign"    // the config, as Ignition JSON
	PlacesFile  = Dir + "/applied.places" // where its elements are in the user's text
	undoDir     = Dir + "/undo"
	journalFile = undoDir + "/journal.json"
	copiesDir   = undoDir + "/files"
)

// Phase is how far a change has got.
type Phase string

// The phases. Applying and Trying are undone by the next boot; Restarting
// becomes Trying then.
const (
	Applying   Phase = "applying"
	Restarting Phase = "restarting"
	Trying     Phase = "trying"
	Applied    Phase = "applied"
)

// Journal is what is needed to undo a change. It is complete before the first
// change.
type Journal struct {
	Phase  Phase                      `json:"phase"`
	Try    time.Duration              `json:"try_ns,omitempty"`
	Saved  []Saved                    `json:"saved"`
	Units  []SavedUnit                `json:"units,omitempty"`
	Kernel *provision.KernelArguments `json:"kernel,omitempty"` // the way back
	Keys   map[string]string          `json:"keys,omitempty"`   // the files with SSH keys, by user
}

// Saved is a path as it was.
type Saved struct {
	Path string `json:"path"`
	Node Node   `json:"node"`
	Copy string `json:"copy,omitempty"` // name of the content in copiesDir
	All  bool   `json:"all,omitempty"`  // nothing was there: remove all that is below, too
	Left *Node  `json:"left,omitempty"` // as the change left it; of All with a digest of all that is below
}

// SavedUnit is a unit as it was.
type SavedUnit struct {
	Name  string    `json:"name"`
	State UnitState `json:"state"`
	Files bool      `json:"files,omitempty"` // its files change
}

// accountFiles are all that the tools for accounts change.
var accountFiles = []string{"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid"}

// LoadJournal reads the journal of the last change; fs.ErrNotExist says that
// there was none.
func LoadJournal(files provision.Files) (Journal, error) {
	var j Journal
	data, err := files.ReadFile(journalFile)
	if err == nil {
		err = json.Unmarshal(data, &j)
	}
	if err == nil {
		err = j.check()
	}
	if err != nil {
		return Journal{}, fmt.Errorf("reading the journal of the last change: %w", err)
	}
	return j, nil
}

// check refuses a journal that this package cannot have written.
func (j Journal) check() error {
	for _, s := range j.Saved {
		if !path.IsAbs(s.Path) || path.Clean(s.Path) != s.Path || s.Path == "/" || s.Copy != "" && s.Copy != path.Base(s.Copy) {
			return fmt.Errorf("%q is no path of a journal", s.Path)
		}
	}
	return nil
}

func (j Journal) store(files provision.Files) error {
	data, err := json.MarshalIndent(j, "", " ")
	if err == nil {
		err = j.sync(files) // before the journal says that it is there
	}
	if err == nil {
		err = files.WriteFile(journalFile, append(data, '\n'), rootfs.Meta{Perm: 0o600, Sync: true})
	}
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

func (j Journal) paths() []string {
	out := make([]string, len(j.Saved))
	for i, s := range j.Saved {
		out[i] = s.Path
	}
	return out
}

// sync writes all that the journal speaks of to disk, and its copies: /var and
// others may be file systems of their own.
func (j Journal) sync(files provision.Files) error {
	return files.Sync(append([]string{undoDir}, j.paths()...)...)
}

// save makes the journal of a plan, with copies of all files that it changes.
func save(ctx context.Context, t provision.Target, p Plan) (Journal, error) {
	j := Journal{Phase: Applying, Keys: keysOf(p)}
	if err := forget(t.Files); err != nil {
		return j, err
	}
	if err := t.Files.MkdirAll(copiesDir, 0o700); err != nil {
		return j, err
	}
	s := saver{files: t.Files, journal: &j, seen: map[string]bool{}}
	paths := append([]string{ConfigFile, PlacesFile}, changedPaths(p)...)
	for _, c := range p.Changes {
		if c.What == "user" || c.What == "group" {
			paths = append(paths, accountFiles...)
		}
	}
	for _, c := range p.Changes { // before paths below a home
		if a, ok := c.created(); ok {
			if err := s.path(a, true); err != nil {
				return j, err
			}
		}
	}
	for _, name := range paths {
		if err := s.path(name, false); err != nil {
			return j, err
		}
	}
	if err := j.saveKernel(ctx, t, p); err != nil {
		return j, err
	}
	s.units(ctx, t, p)
	return j, j.store(t.Files)
}

// created is the home directory that a new user gets.
func (c Change) created() (string, bool) {
	if c.step == nil || c.Op != Add {
		return "", false
	}
	a, ok := c.step.Action.(*provision.CreateUser)
	if !ok || a.NoCreateHome {
		return "", false
	}
	if a.Home != "" {
		return path.Clean(a.Home), true
	}
	return "/home/" + a.Name, true
}

type saver struct {
	files   provision.Files
	journal *Journal
	seen    map[string]bool
}

// path saves what is at a name. Parents that do not exist are saved first, so
// that they go last.
func (s *saver) path(name string, all bool) error {
	if s.seen[name] || name == "/" {
		return nil
	}
	if err := s.path(path.Dir(name), false); err != nil {
		return err
	}
	n, err := look(s.files, name)
	if err != nil {
		return err
	}
	s.seen[name] = true
	saved := Saved{Path: name, Node: n, All: all && n.Kind == Missing}
	switch n.Kind {
	case File:
		data, err := s.files.ReadFile(name)
		if err != nil {
			return err
		}
		saved.Copy = strconv.Itoa(len(s.journal.Saved))
		if err := s.files.WriteFile(path.Join(copiesDir, saved.Copy), data, rootfs.Meta{Perm: 0o600}); err != nil {
			return err
		}
	case Special:
		return fmt.Errorf("%s is a special file, which could not be restored", name)
	}
	s.journal.Saved = append(s.journal.Saved, saved)
	return nil
}

func (s *saver) units(ctx context.Context, t provision.Target, p Plan) {
	if t.Run == nil {
		return
	}
	files := map[string]bool{}
	for _, c := range p.Changes {
		for _, i := range []*Item{c.old, c.item} {
			if i != nil && i.Unit != "" {
				files[i.Unit] = true
			}
		}
		if c.enable != nil {
			files[c.Name] = files[c.Name] || false
		}
	}
	for _, name := range union(files, nil) {
		s.journal.Units = append(s.journal.Units, SavedUnit{name, unitState(ctx, t, name), files[name]})
	}
}

// Undo restores everything that the journal has, whatever of the change was
// made, and tells whether the machine must restart for that. It may be
// repeated. With wait false, nothing is waited for that systemd does: for a
// boot that is still under way. A home directory stays that was used since the
// change was confirmed.
func Undo(ctx context.Context, t provision.Target, j Journal, wait bool) (restart bool, err error) {
	u := systemd{ctx, t, wait}
	for _, s := range j.Units {
		if now := unitState(ctx, t, s.Name); t.Run != nil && now.Enabled == "enabled" && s.State.Enabled != "enabled" {
			u.try("disable", s.Name)
		}
	}
	for _, s := range j.Units {
		if !s.State.Active {
			u.try("stop", s.Name)
		}
	}
	stay, err := j.usedHomes(t.Files)
	if err != nil {
		return false, err
	}
	var errs []error
	for i := len(j.Saved) - 1; i >= 0; i-- {
		if stay[j.Saved[i].Path] {
			continue
		}
		if err := restore(t.Files, j.Saved[i]); err != nil {
			errs = append(errs, fmt.Errorf("restoring %s: %w", j.Saved[i].Path, err))
		}
	}
	restart, err = setKernel(ctx, t, j.Kernel)
	if err := errors.Join(append(errs, err, mergeKeys(ctx, t, j.Keys))...); err != nil {
		return false, err
	}
	u.network(j.paths())
	u.units(j.Units)
	if err := j.sync(t.Files); err != nil {
		return false, err
	}
	if err := forget(t.Files); err != nil {
		return false, err
	}
	return restart, t.Files.Sync(Dir)
}

// forget removes the journal, and then what it needs.
func forget(files provision.Files) error {
	if err := files.RemoveAll(journalFile); err != nil {
		return err
	}
	return files.RemoveAll(undoDir)
}

func restore(files provision.Files, s Saved) error {
	now, err := look(files, s.Path)
	if err != nil {
		return err
	}
	if now == s.Node {
		return nil
	}
	if s.Node.Kind == Missing && now.Kind == Directory && !s.All {
		if names, err := files.ReadDir(s.Path); err != nil || len(names) > 0 {
			return err // it is somebody's now
		}
	}
	if now.Kind != Missing && (now.Kind != s.Node.Kind || now.Kind == Symlink) {
		if err := files.RemoveAll(s.Path); err != nil {
			return err
		}
	}
	switch s.Node.Kind {
	case File:
		data, err := files.ReadFile(path.Join(copiesDir, s.Copy))
		if err != nil {
			return err
		}
		return files.WriteFile(s.Path, data, rootfs.Meta{Perm: s.Node.Perm, UID: s.Node.UID, GID: s.Node.GID})
	case Directory:
		if err := files.Mkdir(s.Path, s.Node.Perm); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := files.Chown(s.Path, s.Node.UID, s.Node.GID); err != nil {
			return err
		}
		return files.Chmod(s.Path, s.Node.Perm)
	case Symlink:
		if err := files.Symlink(s.Node.Target, s.Path); err != nil {
			return err
		}
		return files.Chown(s.Path, s.Node.UID, s.Node.GID)
	}
	return nil
}
