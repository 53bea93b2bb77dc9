package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"wellcar.dev/internal/sys/rootfs"
)

// found is what is at the path of a node before the step.
type found struct {
	rootfs.Info
	exists bool
}

// prepare removes what is there if the node says so, makes missing parents
// and tells what is left.
func (m *machine) prepare(n *Node) (found, error) {
	if n.Overwrite {
		if err := m.Files.RemoveAll(n.Path); err != nil {
			return found{}, err
		}
	}
	return m.look(n.Path)
}

func (m *machine) look(name string) (found, error) {
	info, err := m.Files.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, m.Files.MkdirAll(path.Dir(name), defaultDirMode)
	}
	return found{info, err == nil}, err
}

// write writes a file whole, making missing parents.
func (m *machine) write(name string, data []byte, meta rootfs.Meta) error {
	err := m.Files.WriteFile(name, data, meta)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.Files.MkdirAll(path.Dir(name), defaultDirMode); err != nil {
		return err
	}
	return m.Files.WriteFile(name, data, meta)
}

func (a *MakeDirectory) do(ctx context.Context, m *machine) (Outcome, error) {
	was, err := m.prepare(&a.Node)
	if err != nil {
		return Failed, err
	}
	if was.exists && !was.Dir() {
		return Failed, fmt.Errorf("there is %s already; set overwrite to replace it", thing(was.Info))
	}
	if !was.exists {
		if err := m.Files.Mkdir(a.Path, defaultDirMode); err != nil {
			return Failed, err
		}
	}
	return m.access(ctx, &a.Node, was, defaultDirMode)
}

func (a *WriteFile) do(ctx context.Context, m *machine) (Outcome, error) {
	was, err := m.look(a.Path)
	if err != nil {
		return Failed, err
	}
	if a.Overwrite || !was.exists {
		return m.create(ctx, a)
	}
	if !was.Regular() {
		return Failed, fmt.Errorf("there is %s already; set overwrite to replace it", thing(was.Info))
	}
	if a.Content != nil {
		same, err := m.same(ctx, a.Path, a.Content)
		if err != nil {
			return Failed, err
		}
		if !same {
			return Failed, errors.New("there is a file with other contents already; set overwrite to replace it")
		}
	}
	return m.access(ctx, &a.Node, was, defaultFileMode)
}

// create writes a file with its final owner and mode. What is there goes once
// all of the content has come.
func (m *machine) create(ctx context.Context, a *WriteFile) (Outcome, error) {
	uid, gid, err := m.owner(ctx, &a.Node, found{})
	if err != nil {
		return Failed, err
	}
	meta := rootfs.Meta{Perm: modeOf(a.Mode, defaultFileMode), UID: uid, GID: gid}
	return Done, m.Files.WriteFrom(a.Path, meta, func(w io.Writer) error {
		if a.Content != nil {
			if err := a.Content.WriteTo(ctx, m.Fetch, w); err != nil {
				return err
			}
		}
		if !a.Overwrite {
			return nil
		}
		return m.Files.RemoveAll(a.Path)
	})
}

// same compares a file with a content. One without an announced hash is
// fetched for it.
func (m *machine) same(ctx context.Context, name string, c *Content) (bool, error) {
	r, remote := c.Remote()
	if !remote {
		r.Hash = "sha256-" + c.SHA256()
	}
	sum, _, want, err := newSum(r.Hash)
	if err != nil {
		return false, err
	}
	if want == "" {
		fetched := sha256.New()
		if err := c.WriteTo(ctx, m.Fetch, fetched); err != nil {
			return false, err
		}
		want = hex.EncodeToString(fetched.Sum(nil))
	}
	err = m.Files.ReadTo(name, sum)
	return strings.EqualFold(hex.EncodeToString(sum.Sum(nil)), want), err
}

// access sets owner, then mode. What was there keeps what is not set.
func (m *machine) access(ctx context.Context, n *Node, was found, mode uint32) (Outcome, error) {
	uid, gid, err := m.owner(ctx, n, was)
	if err != nil {
		return Failed, err
	}
	perm := modeOf(n.Mode, mode)
	if was.exists && n.Mode == nil {
		perm = was.Perm
	}
	if was.exists && uid == was.UID && gid == was.GID && perm == was.Perm {
		return Kept, nil
	}
	if err := m.Files.Chown(n.Path, uid, gid); err != nil {
		return Failed, err
	}
	return Done, m.Files.Chmod(n.Path, perm)
}

func (a *AppendFile) do(ctx context.Context, m *machine) (Outcome, error) {
	return Done, m.Files.AppendFrom(a.Path, defaultFileMode, func(w io.Writer) error {
		return a.Content.WriteTo(ctx, m.Fetch, w)
	})
}

func (a *Link) do(ctx context.Context, m *machine) (Outcome, error) {
	was, err := m.prepare(&a.Node)
	if err != nil {
		return Failed, err
	}
	if was.exists {
		if err := m.equalLink(a, was.Info); err != nil {
			return Failed, err
		}
	} else if err := m.Files.Symlink(a.Target, a.Path); err != nil {
		return Failed, err
	}
	uid, gid, err := m.owner(ctx, &a.Node, was)
	if err != nil {
		return Failed, err
	}
	if was.exists && uid == was.UID && gid == was.GID {
		return Kept, nil
	}
	return Done, m.Files.Chown(a.Path, uid, gid)
}

func (m *machine) equalLink(a *Link, was rootfs.Info) error {
	if !was.Symlink() {
		return fmt.Errorf("there is %s already; set overwrite to replace it", thing(was))
	}
	target, err := m.Files.Readlink(a.Path)
	if err != nil {
		return err
	}
	if path.Clean(target) != path.Clean(a.Target) {
		return fmt.Errorf("there is a link to %s already; set overwrite to replace it", target)
	}
	return nil
}

func (a *HardLink) do(_ context.Context, m *machine) (Outcome, error) {
	was, err := m.prepare(&a.Node)
	if err != nil {
		return Failed, err
	}
	target, err := m.Files.Lstat(a.Target)
	if err != nil {
		return Failed, err
	}
	switch {
	case target.Dir():
		return Failed, fmt.Errorf("%s is a directory, and hard links lead to files only", a.Target)
	case was.exists && was.Same(target):
		return Kept, nil
	case was.exists:
		return Failed, fmt.Errorf("there is %s already; set overwrite to replace it", thing(was.Info))
	}
	return Done, m.Files.Link(a.Target, a.Path)
}

// owner is the wanted owner of a node by ids: those that are set, else those
// of what was there, else root.
func (m *machine) owner(ctx context.Context, n *Node, was found) (uid, gid int, err error) {
	if was.exists {
		uid, gid = was.UID, was.GID
	}
	switch {
	case n.User.ID != nil:
		uid = *n.User.ID
	case n.User.Name != "":
		a, ok, err := m.user(ctx, n.User.Name)
		if err != nil || !ok {
			return 0, 0, missing("user", n.User.Name, err)
		}
		uid = a.UID
	}
	switch {
	case n.Group.ID != nil:
		gid = *n.Group.ID
	case n.Group.Name != "":
		id, ok, err := m.group(ctx, n.Group.Name)
		if err != nil || !ok {
			return 0, 0, missing("group", n.Group.Name, err)
		}
		gid = id
	}
	return uid, gid, nil
}

func missing(what, name string, err error) error {
	if err != nil {
		return fmt.Errorf("looking up the %s %s: %w", what, name, err)
	}
	return fmt.Errorf("there is no %s %s", what, name)
}

func modeOf(mode *int, unset uint32) uint32 {
	if mode == nil {
		return unset
	}
	return uint32(*mode)
}

// thing names what is in the way.
func thing(i rootfs.Info) string {
	switch {
	case i.Regular():
		return "a file"
	case i.Dir():
		return "a directory"
	case i.Symlink():
		return "a link"
	}
	return "a special file"
}
