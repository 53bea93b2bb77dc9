package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// newSuffix is that of a file that does not have its name yet.
const newSuffix = ".new"

// Replace gives a file of a FAT partition other bytes, or makes it. Whoever
// reads it after a power cut finds all of the old ones or all of the new ones:
// the two files change names by one entry of the folder each, and the clusters
// of the old one are given back after that is on the disk.
func Replace(name string, data []byte) error {
	if err := replace(name, data); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	return nil
}

func replace(name string, data []byte) error {
	temporary := name + newSuffix
	if err := write(temporary, data); err != nil {
		os.Remove(temporary)
		return err
	}
	if err := exchange(temporary, name); err != nil {
		os.Remove(temporary)
		return err
	}
	if err := Sync(filepath.Dir(name)); err != nil {
		return err
	}
	return Leftover(name)
}

// exchange swaps two names. Where the kernel cannot (vfat: before 6.0), or the
// second file is not there, it renames.
func exchange(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOENT) {
		return os.Rename(from, to)
	}
	return err
}

func write(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Leftover removes what a cut Replace may have left beside a file.
func Leftover(name string) error {
	if err := os.Remove(name + newSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
