//go:build linux

package initrd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wellcar.dev/internal/layout"
)

// topLevel are the directories that a root file system has before the system
// starts; tmpfiles makes everything below them.
var topLevel = []struct {
	name string
	mode fs.FileMode
}{
	{"boot", 0o755}, {"dev", 0o755}, {"etc", 0o755}, {".etc-work", 0o755}, {"home", 0o755}, {"media", 0o755}, {"mnt", 0o755},
	{"oem", 0o755}, {"opt", 0o755}, {"proc", 0o555}, {"root", 0o700}, {"run", 0o755}, {"srv", 0o755},
	{"sys", 0o555}, {"tmp", fs.ModeSticky | 0o777}, {"usr", 0o755}, {"var", 0o755},
}

// makeSkeleton creates what is missing at the top of a root file system.
// What exists stays as it is.
func makeSkeleton(root string) error {
	for _, d := range topLevel {
		path := filepath.Join(root, d.name)
		err := os.Mkdir(path, d.mode.Perm())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = os.Chmod(path, d.mode) // whatever the umask
		}
		if err != nil {
			return fmt.Errorf("making the root directories: %w", err)
		}
	}
	for _, name := range layout.UsrLinks {
		err := os.Symlink("usr/"+name, filepath.Join(root, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making the root directories: %w", err)
		}
	}
	return nil
}
