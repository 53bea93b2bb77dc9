// Package durable writes files so that a crash or a power cut leaves either
// the old content or the new one, never a part: a temporary file in the same
// directory, fsync, rename, fsync of the directory.
//
// On a Mac an fsync asks the drive to write its cache, as os.File.Sync does
// everywhere. File systems that cannot sync a directory are accepted.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile replaces a file by data. perm is set as given, whatever the umask.
func WriteFile(name string, data []byte, perm fs.FileMode) error {
	f, err := Create(name, perm)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return f.Commit()
}

// File is a new file that takes its name only when committed.
type File struct {
	*os.File        // the temporary file
	name     string // the final name
	done     bool
}

// Create opens a new file for name, which need not exist but whose directory
// must. The caller ends it with Commit or Abort; Abort after Commit does
// nothing, so it can be deferred.
func Create(name string, perm fs.FileMode) (*File, error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("creating a temporary file for %s: %w", name, err)
	}
	f := &File{File: tmp, name: name}
	if err := tmp.Chmod(perm); err != nil {
		f.Abort()
		return nil, fmt.Errorf("setting the mode of %s: %w", name, err)
	}
	return f, nil
}

// Commit makes the content durable and gives the file its name, in place of
// what was there.
func (f *File) Commit() error {
	if f.done {
		return fmt.Errorf("committing %s: %w", f.name, fs.ErrClosed)
	}
	if err := f.commit(); err != nil {
		f.Abort()
		return fmt.Errorf("committing %s: %w", f.name, err)
	}
	f.done = true
	return SyncDir(filepath.Dir(f.name))
}

func (f *File) commit() error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.File.Name(), f.name)
}

// Abort drops the file unless it was committed.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.done = true
	f.Close()
	os.Remove(f.File.Name())
}

// SyncDir makes the names in a directory durable.
func SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("syncing the directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("syncing the directory: %w", err)
	}
	return nil
}
