//go:build linux

// Package kmod gives kernel modules to the kernel: decompressed files only,
// in an order that the caller knows. It reads no modules.dep.
//
// System call: finit_module(2).
package kmod

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Dir is an open directory of module files. It stays readable when another
// file system is mounted over its path.
type Dir struct{ root *os.Root }

// OpenDir opens a directory whose files are NAME.ko.
func OpenDir(path string) (Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return Dir{}, fmt.Errorf("opening the kernel modules: %w", err)
	}
	return Dir{root}, nil
}

// Load loads NAME.ko with parameters as in "debug=1 nr=4". It returns when
// the module's own start has ended. A module that is there already is no error.
func (d Dir) Load(name, params string) error {
	f, err := d.root.Open(name + ".ko")
	if err != nil {
		return fmt.Errorf("loading the kernel module %s: %w", name, err)
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), params, 0)
	if err != nil && err != unix.EEXIST {
		return fmt.Errorf("loading the kernel module %s: %w", name, err)
	}
	return nil
}
