package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// MountFilesystem mounts a file system of the config, so that its files land
// on it.
type MountFilesystem struct {
	Device  string   `json:"device"`
	Format  string   `json:"format"`
	Path    string   `json:"path"`
	Options []string `json:"options,omitempty"`
}

// Kind implements Action.
func (*MountFilesystem) Kind() string { return "mountFilesystem" }

// Summary implements Action.
func (a *MountFilesystem) Summary() Summary {
	return Summary{"mount", "mounted", "file system", a.Path, join(a.Format, a.Device, strings.Join(a.Options, ","))}
}

// UnmountFilesystem undoes a MountFilesystem; the running system mounts by its
// units.
type UnmountFilesystem struct {
	Path string `json:"path"`
}

// Kind implements Action.
func (*UnmountFilesystem) Kind() string { return "unmountFilesystem" }

// Summary implements Action.
func (a *UnmountFilesystem) Summary() Summary {
	return Summary{"unmount", "unmounted", "file system", a.Path, ""}
}

// oemPaths are where configs written for older releases have the OEM file
// system.
const oemPath = "/usr/share/oem"

// mountPath is where a file system of the config is mounted.
func mountPath(f types.Filesystem) string {
	at := path.Clean(value(f.Path))
	if at == oemPath && f.Device == "/dev/disk/by-label/OEM" {
		return "/oem"
	}
	return at
}

// mounted lists the file systems to mount, shallow ones first.
func (b *builder) mounted() (indexes []int) {
	list := b.Ignition.Storage.Filesystems
	for i, f := range list {
		format := value(f.Format)
		if value(f.Path) == "" || format == "" || format == "swap" || format == "none" || mountPath(f) == "/" {
			continue // "/" is mounted before the stages that need it
		}
		indexes = append(indexes, i)
	}
	sort.SliceStable(indexes, func(x, y int) bool {
		return strings.Count(mountPath(list[indexes[x]]), "/") < strings.Count(mountPath(list[indexes[y]]), "/")
	})
	return indexes
}

// mounts plans the stage mount.
func (b *builder) mounts() {
	for _, i := range b.mounted() {
		f := b.Ignition.Storage.Filesystems[i]
		b.checkMountPoint(Path{"storage", "filesystems", i, "path"}, mountPath(f))
		a := &MountFilesystem{Device: f.Device, Format: value(f.Format), Path: mountPath(f)}
		for _, o := range f.MountOptions {
			a.Options = append(a.Options, string(o))
		}
		b.add(StageMount, Path{"storage", "filesystems", i, "path"}, a)
	}
}

// unmounts plans the stage umount.
func (b *builder) unmounts() {
	all := b.mounted()
	for n := len(all) - 1; n >= 0; n-- {
		i := all[n]
		b.add(StageUmount, Path{"storage", "filesystems", i, "path"}, &UnmountFilesystem{Path: mountPath(b.Ignition.Storage.Filesystems[i])})
	}
}

func (a *MountFilesystem) do(ctx context.Context, m *machine) (Outcome, error) {
	disks, err := m.disks()
	if err != nil {
		return Failed, err
	}
	if err := m.mountPoint(a.Path); err != nil {
		return Failed, err
	}
	return Done, disks.Mount(ctx, a.Device, m.path(a.Path), a.Format, a.Options)
}

// path is where a path of the target is on this machine.
func (m *machine) path(name string) string { return path.Join("/", m.Root, name) }

// mountPoint makes a directory, and takes note of what it made. A mount point
// is never reached through a link.
func (m *machine) mountPoint(name string) error {
	at := ""
	for _, part := range strings.Split(strings.Trim(name, "/"), "/") {
		at += "/" + part
		info, err := m.Files.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := m.Files.Mkdir(at, 0o755); err != nil {
				return err
			}
			m.State.NotatedDirectories = append(m.State.NotatedDirectories, at)
		case err != nil:
			return err
		case info.Symlink():
			return fmt.Errorf("%s is a link, and a mount point must not be below one", at)
		case !info.Dir():
			return fmt.Errorf("%s is no directory", at)
		}
	}
	return nil
}

// giveMountPoints gives the directories that the mount stage made in a user's
// home to the user.
func (m *machine) giveMountPoints(ctx context.Context, name string) error {
	if len(m.State.NotatedDirectories) == 0 {
		return nil
	}
	u, ok, err := m.user(ctx, name)
	if err != nil || !ok || !path.IsAbs(u.Home) || u.Home == "/" {
		return err
	}
	for _, dir := range m.State.NotatedDirectories {
		if dir != u.Home && !strings.HasPrefix(dir, u.Home+"/") {
			continue
		}
		if err := m.Files.Chown(dir, u.UID, u.GID); err != nil {
			return err
		}
		if err := m.Files.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (a *UnmountFilesystem) do(ctx context.Context, m *machine) (Outcome, error) {
	disks, err := m.disks()
	if err != nil {
		return Failed, err
	}
	return Done, disks.Unmount(ctx, m.path(a.Path))
}
