// Package efivar reads and writes variables of UEFI firmware through efivarfs
// (the kernel's Documentation/filesystems/efivarfs.rst).
package efivar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Dir is where efivarfs is mounted.
const Dir = "/sys/firmware/efi/efivars"

// Global is the vendor of the variables that the specification defines.
const Global = "8be4df61-93ca-11d2-aa0d-00e098032b8c"

// attributes: kept without power, for boot and run time.
const attributes = 1 | 2 | 4

// immutable is FS_IMMUTABLE_FL of linux/fs.h.
const immutable = 0x10

// Vars are the variables of a machine.
type Vars struct{ Dir string }

func (v Vars) path(name string) string { return filepath.Join(v.Dir, name+"-"+Global) }

// Get reads a variable of vendor Global; ok is false if there is none.
func (v Vars) Get(name string) (data []byte, ok bool, err error) {
	data, err = os.ReadFile(v.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("reading the firmware's variable %s: %w", name, err)
	case len(data) < 4:
		return nil, false, fmt.Errorf("reading the firmware's variable %s: it has %d bytes", name, len(data))
	}
	return data[4:], true, nil
}

// Set writes a variable of vendor Global and reads it back.
func (v Vars) Set(name string, data []byte) error {
	if err := v.set(name, data); err != nil {
		return fmt.Errorf("writing the firmware's variable %s: %w", name, err)
	}
	again, ok, err := v.Get(name)
	if err == nil && (!ok || string(again) != string(data)) {
		err = fmt.Errorf("writing the firmware's variable %s: the firmware did not keep it", name)
	}
	return err
}

func (v Vars) set(name string, data []byte) error {
	if err := v.unlock(name); err != nil {
		return err
	}
	f, err := os.OpenFile(v.path(name), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	// One write is one change of the variable.
	_, err = f.Write(append(binary.LittleEndian.AppendUint32(nil, attributes), data...))
	return errors.Join(err, f.Close())
}

// Delete removes a variable of vendor Global, if it is there.
func (v Vars) Delete(name string) error {
	err := v.unlock(name)
	if err == nil {
		err = os.Remove(v.path(name))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the firmware's variable %s: %w", name, err)
	}
	return nil
}

// unlock takes away the flag by which the kernel guards variables against
// accidents. Other file systems than efivarfs have no such flag.
func (v Vars) unlock(name string) error {
	f, err := os.Open(v.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil || flags&immutable == 0 {
		return nil
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags&^immutable))
}
