package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"wellcar.dev/internal/sys/rootfs"
)

// Tools of the target.
const (
	getent   = "/usr/bin/getent"
	useradd  = "/usr/sbin/useradd"
	usermod  = "/usr/sbin/usermod"
	userdel  = "/usr/sbin/userdel"
	groupadd = "/usr/sbin/groupadd"
	groupmod = "/usr/sbin/groupmod"
	groupdel = "/usr/sbin/groupdel"
)

func (a *CreateGroup) do(ctx context.Context, m *machine) (Outcome, error) {
	_, err := m.tool(ctx, groupadd, append(a.flags(true), a.Name)...)
	return Done, err
}

func (a *ModifyGroup) do(ctx context.Context, m *machine) (Outcome, error) {
	_, err := m.tool(ctx, groupmod, append(a.flags(false), a.Name)...)
	return Done, err
}

func (a *RemoveGroup) do(ctx context.Context, m *machine) (Outcome, error) {
	_, err := m.tool(ctx, groupdel, a.Name)
	return Done, err
}

func (a *CreateUser) do(ctx context.Context, m *machine) (Outcome, error) {
	home := a.Home
	if home == "" {
		home = "/home/" + a.Name
	}
	if !a.NoCreateHome { // useradd wants the folder of homes to be there
		if err := m.Files.MkdirAll(path.Dir(home), defaultDirMode); err != nil {
			return Failed, err
		}
	}
	if _, err := m.tool(ctx, useradd, append(a.createFlags(), a.Name)...); err != nil {
		return Failed, err
	}
	return Done, m.giveMountPoints(ctx, a.Name)
}

func (a *ModifyUser) do(ctx context.Context, m *machine) (Outcome, error) {
	if _, err := m.tool(ctx, usermod, append(a.modifyFlags(), a.Name)...); err != nil {
		return Failed, err
	}
	return Done, m.giveMountPoints(ctx, a.Name)
}

func (a *RemoveUser) do(ctx context.Context, m *machine) (Outcome, error) {
	_, err := m.tool(ctx, userdel, "--remove", a.Name)
	return Done, err
}

func (a *SSHKeys) do(ctx context.Context, m *machine) (Outcome, error) {
	account, ok, err := m.user(ctx, a.User)
	if err != nil || !ok {
		return Failed, missing("user", a.User, err)
	}
	if !path.IsAbs(account.Home) {
		return Failed, fmt.Errorf("the user's home directory is %q, which is not an absolute path", account.Home)
	}
	if err := m.ensureHome(account); err != nil {
		return Failed, err
	}
	if err := m.giveMountPoints(ctx, a.User); err != nil {
		return Failed, err
	}
	dir := path.Join(account.Home, ".ssh")
	a.file = path.Join(dir, "authorized_keys.d", "ignition")
	if m.PlainKeys {
		a.file = path.Join(dir, "authorized_keys")
	}
	return Done, m.Files.As(account.UID, account.GID, func() error { return m.writeKeys(account, a) })
}

// writeKeys runs with the user's own rights.
func (m *machine) writeKeys(u Account, a *SSHKeys) error {
	dir := path.Join(u.Home, ".ssh")
	for _, d := range []string{dir, path.Dir(a.file)} {
		if err := m.ownDir(u, d, 0o700); err != nil {
			return err
		}
	}
	text := strings.TrimRight(strings.Join(a.Keys, "\n"), "\n") + "\n"
	return m.Files.WriteFile(a.file, []byte(text), rootfs.Meta{Perm: 0o600, UID: u.UID, GID: u.GID})
}

// ownDir makes a directory of the user unless there is one. A link to one
// counts.
func (m *machine) ownDir(a Account, name string, perm uint32) error {
	err := m.Files.Mkdir(name, perm)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return m.Files.Chown(name, a.UID, a.GID)
}

// ensureHome makes the home directory of a user who has none yet, as useradd
// would: filled from /etc/skel.
func (m *machine) ensureHome(a Account) error {
	if _, err := m.Files.Stat(a.Home); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.Files.MkdirAll(a.Home, defaultDirMode); err != nil {
		return err
	}
	if err := m.copySkel("/etc/skel", a.Home, a); err != nil {
		return err
	}
	return m.Files.Chown(a.Home, a.UID, a.GID)
}

func (m *machine) copySkel(from, to string, a Account) error {
	names, err := m.Files.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := m.copyNode(path.Join(from, n), path.Join(to, n), a); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) copyNode(from, to string, a Account) error {
	info, err := m.Files.Lstat(from)
	switch {
	case err != nil:
		return err
	case info.Dir():
		if err := m.ownDir(a, to, info.Perm); err != nil {
			return err
		}
		return m.copySkel(from, to, a)
	case info.Symlink():
		target, err := m.Files.Readlink(from)
		if err != nil {
			return err
		}
		if err := m.Files.Symlink(target, to); err != nil {
			return err
		}
		return m.Files.Chown(to, a.UID, a.GID)
	case info.Regular():
		data, err := m.Files.ReadFile(from)
		if err != nil {
			return err
		}
		return m.Files.WriteFile(to, data, rootfs.Meta{Perm: info.Perm, UID: a.UID, GID: a.GID})
	}
	return nil
}

// user looks a user up: in the target's /etc/passwd, then with its own name
// service, where a root may keep users elsewhere.
func (m *machine) user(ctx context.Context, name string) (Account, bool, error) {
	data, err := m.database(ctx, "/etc/passwd", "passwd", name)
	a, ok := parsePasswd(data, name)
	return a, ok, err
}

// group looks a group up like user.
func (m *machine) group(ctx context.Context, name string) (int, bool, error) {
	data, err := m.database(ctx, "/etc/group", "group", name)
	id, ok := parseGroup(data, name)
	return id, ok, err
}

func (m *machine) database(ctx context.Context, file, base, name string) ([]byte, error) {
	data, err := m.Files.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if dbLine(data, name) != nil || m.Run == nil {
		return data, nil
	}
	if _, err := m.Files.Stat(getent); err != nil {
		return data, nil // no name service but the file
	}
	out, err := m.run(ctx, getent, base, name)
	if err != nil {
		return nil, nil // getent says "not there" by its exit code
	}
	return out, nil
}
