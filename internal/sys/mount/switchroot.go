//go:build linux

package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SwitchRoot makes newRoot, a mount point, the root of this process: the
// mounts listed in carry move along, and what the old root held in memory is
// freed. It does not run the new init.
//
// The kernel allows no pivot_root away from the initial rootfs, hence the
// move over "/" and the chroot.
func SwitchRoot(newRoot string, carry []string) error {
	for _, dir := range carry {
		if err := Move(dir, filepath.Join(newRoot, dir)); err != nil {
			return err
		}
	}
	old, err := os.Open("/")
	if err != nil {
		return fmt.Errorf("opening the old root: %w", err)
	}
	defer old.Close()
	if err := os.Chdir(newRoot); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving %s to /: %w", newRoot, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("making %s the root: %w", newRoot, err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	return emptyMemoryRoot(old)
}

// Move moves a mount to another directory, created when missing.
func Move(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("moving the mount %s to %s: %w", from, to, err)
	}
	if err := unix.Mount(from, to, "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the mount %s to %s: %w", from, to, err)
	}
	return nil
}

// emptyMemoryRoot deletes all below root if, and only if, root is a file
// system in memory.
func emptyMemoryRoot(root *os.File) error {
	var sfs unix.Statfs_t
	if err := unix.Fstatfs(int(root.Fd()), &sfs); err != nil {
		return fmt.Errorf("asking for the type of the old root: %w", err)
	}
	if sfs.Type != unix.RAMFS_MAGIC && sfs.Type != unix.TMPFS_MAGIC {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return fmt.Errorf("reading the old root: %w", err)
	}
	return emptyDir(root, st.Dev)
}

// emptyDir deletes what is below dir on the device dev. Mount points stay,
// with all that is in them.
func emptyDir(dir *os.File, dev uint64) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("reading the old root: %w", err)
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, removeAt(dir, name, dev))
	}
	return errors.Join(errs...)
}

func removeAt(parent *os.File, name string, dev uint64) error {
	var st unix.Stat_t
	pfd := int(parent.Fd())
	if err := unix.Fstatat(pfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("reading %s of the old root: %w", name, err)
	}
	if st.Dev != dev {
		return nil
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return wrap(unix.Unlinkat(pfd, name, 0), name)
	}
	fd, err := unix.Openat(pfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return wrap(err, name)
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	if err := emptyDir(dir, dev); err != nil {
		return err
	}
	err = unix.Unlinkat(pfd, name, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, fs.ErrNotExist) {
		return nil // holds a mount
	}
	return wrap(err, name)
}

func wrap(err error, name string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("deleting %s of the old root: %w", name, err)
}
