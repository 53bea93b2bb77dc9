// Package volume asks and tells the kernel about a mounted file system as a
// whole (statfs(2), syncfs(2)).
package volume

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Free is the room that is left in the file system of a folder, bytes.
func Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("asking for the free room of %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// Sync waits until all of the file system of a folder is on the disk.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing the file system of %s: %w", dir, err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncing the file system of %s: %w", dir, err)
	}
	return nil
}
