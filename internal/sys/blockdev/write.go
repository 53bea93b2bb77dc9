//go:build linux

package blockdev

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// WriteBack writes into a device, waits until it is on the disk, and reads it
// from there.
func WriteBack(device string, data []byte, offset int64) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err = writeBack(f, data, offset); err != nil {
		err = fmt.Errorf("writing %d bytes at %d of %s: %w", len(data), offset, device, err)
	}
	return errors.Join(err, f.Close())
}

func writeBack(f *os.File, data []byte, offset int64) error {
	if _, err := f.WriteAt(data, offset); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// What the kernel remembers of it would be read otherwise.
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return err
	}
	got := make([]byte, len(data))
	if _, err := f.ReadAt(got, offset); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(got, data) {
		return errors.New("something else is read back")
	}
	return nil
}
