//go:build linux

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/volume"
)

// Machine is a machine's disk and the /usr that runs.
type Machine struct {
	Root     string          // "/" on a machine: where usr and dev are looked for
	ESP      string          // where the EFI system partition is mounted
	Disk     string          // device of the whole disk
	BIOSBoot blockdev.Device // partition of it; without a path: there is none
	// Write writes into a device and returns once it is on the disk; nil:
	// blockdev.WriteBack.
	Write func(device string, data []byte, offset int64) error
	// Synced hears whenever what was written is on the disk; it may be nil.
	Synced func()
}

// Renew replaces what differs, and says what that was. What cannot be replaced
// stays as it is.
func (m Machine) Renew() (renewed []string, err error) {
	var errs []error
	for _, loader := range []struct {
		name  string
		renew func() (bool, error)
	}{{"GRUB", m.grub}, {"systemd-boot", m.systemdBoot}} {
		changed, err := loader.renew()
		if err != nil {
			errs = append(errs, fmt.Errorf("renewing %s: %w; the old one stays", loader.name, err))
		}
		if changed {
			renewed = append(renewed, loader.name)
		}
	}
	return renewed, errors.Join(errs...)
}

func (m Machine) grub() (changed bool, err error) {
	if _, err := os.Stat(filepath.Join(m.ESP, layout.GrubConfig)); err != nil {
		return false, ignoreMissing(err) // the disk is not for a BIOS
	}
	g, err := ReadGRUB(filepath.Join(m.Root, layout.GrubDir))
	if err != nil {
		return false, ignoreMissing(err) // the release is not for a BIOS
	}
	sector, err := m.Sector()
	if err != nil {
		return false, err
	}
	f, err := m.Plan(g, sector[:grub.CodeSize])
	if err != nil {
		return false, err
	}
	if f != nil {
		if err := m.Flip(*f); err != nil {
			return false, err
		}
	}
	replaced, err := m.replace(layout.GrubConfig, g.Config)
	return f != nil || replaced, err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Sector reads sector 0.
func (m Machine) Sector() ([]byte, error) {
	f, err := os.Open(filepath.Join(m.Root, m.Disk))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sector := make([]byte, sectorSize)
	if _, err := f.ReadAt(sector, 0); err != nil {
		return nil, fmt.Errorf("reading sector 0 of %s: %w", m.Disk, err)
	}
	return sector, nil
}

// Plan says what is to be written so that a disk with some boot code in sector
// 0 starts this GRUB, nil if it does. An error is one sentence that says why it
// cannot. The core image that the boot code starts is not touched.
func (m Machine) Plan(g GRUB, code []byte) (*Flip, error) {
	if m.BIOSBoot.Path == "" {
		return nil, errors.New("the disk has no BIOS boot partition")
	}
	space, err := os.Open(filepath.Join(m.Root, m.BIOSBoot.Path))
	if err != nil {
		return nil, err
	}
	defer space.Close()
	return plan(g, disk{code: code, first: uint64(m.BIOSBoot.Start / sectorSize), size: m.BIOSBoot.Size, space: space})
}

// Flip writes the core image and, once it is there, the boot code.
func (m Machine) Flip(f Flip) error {
	if err := m.write(m.BIOSBoot.Path, f.core, f.offset); err != nil {
		return err
	}
	return m.SetCode(f.code)
}

// SetCode puts boot code into sector 0.
func (m Machine) SetCode(code []byte) error { return m.write(m.Disk, code, 0) }

func (m Machine) write(device string, data []byte, offset int64) error {
	write := m.Write
	if write == nil {
		write = blockdev.WriteBack
	}
	err := write(filepath.Join(m.Root, device), data, offset)
	m.synced()
	return err
}

func (m Machine) synced() {
	if m.Synced != nil {
		m.Synced()
	}
}

// replace gives a file of the EFI system partition its content.
func (m Machine) replace(name string, data []byte) (changed bool, err error) {
	name = filepath.Join(m.ESP, name)
	old, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	if bytes.Equal(old, data) {
		return false, volume.Leftover(name)
	}
	err = volume.Replace(name, data)
	m.synced()
	return err == nil, err
}

// systemdBoot renews the loader that UEFI starts, if it is ours.
func (m Machine) systemdBoot() (changed bool, err error) {
	old, err := os.ReadFile(filepath.Join(m.ESP, layout.DefaultLoader))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !ours(old) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, err := os.ReadFile(filepath.Join(m.Root, "usr", layout.SystemdBoot))
	if err != nil {
		return false, err
	}
	return m.replace(layout.DefaultLoader, data)
}

// ours says that a program is systemd-boot as a release has it. One with a
// signature is the owner's, whose firmware may take no other.
func ours(program []byte) bool {
	r := bytes.NewReader(program)
	about, err := pe.Find(r, ".sdmagic")
	if err != nil || !bytes.Contains(about, []byte("LoaderInfo: systemd-boot ")) {
		return false
	}
	signed, err := pe.Signed(r)
	return err == nil && !signed
}
