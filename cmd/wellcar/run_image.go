package main

import (
	"fmt"
	"io"
	"os"

	"wellcar.dev/internal/format/gpt"
)

const qcow2Magic = "QFI\xfb" // https://www.qemu.org/docs/master/interop/qcow2.html, header

// checkImage refuses a file that no firmware could boot, rather than waiting
// for it.
func checkImage(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("opening the disk image: %w", err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("reading the disk image %s: %w", name, err)
	}
	magic := make([]byte, len(qcow2Magic))
	if _, err := f.ReadAt(magic, 0); err == nil && string(magic) == qcow2Magic {
		return nil // its table cannot be seen from outside
	}
	if _, _, err := gpt.Read(f, size, 512); err != nil {
		return fmt.Errorf("%s is no disk image that can boot: %w; wellcar build makes one", name, err)
	}
	return nil
}
