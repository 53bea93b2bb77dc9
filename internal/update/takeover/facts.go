//go:build linux

package takeover

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/efivar"
	"wellcar.dev/internal/sys/volume"
)

// Machine is the old system, as the program in the payload is told about it.
type Machine struct {
	Root   string // "/" on a machine
	Device string // of the slot that was written
	Kernel string // where update_engine put the kernel: /boot/flatcar/vmlinuz-b
	Files  string // folder with the payload's own files
	Vars   efivar.Vars
	Free   func(dir string) (int64, error) // nil: asks the file system
	// Write is how a device is written where a BIOS starts it; nil:
	// blockdev.WriteBack.
	Write func(device string, data []byte, offset int64) error
	Logf  func(format string, args ...any)
}

// found is what Facts are read from, with what the steps need beside.
type found struct {
	Facts
	slot, esp blockdev.Device
	boot      string // where the EFI system partition is mounted
	bios      bios
}

// look reads the facts. It changes nothing.
func (m Machine) look() (f found, err error) {
	f.boot = filepath.Dir(filepath.Dir(m.Kernel))
	f.UEFI = exists(filepath.Join(m.Root, "sys/firmware/efi"))
	secure, _, _ := m.Vars.Get("SecureBoot")
	f.SecureBoot = len(secure) == 1 && secure[0] == 1
	f.Device = m.Device
	if err := m.devices(&f); err != nil {
		return f, err
	}
	if f.KernelSize, f.KernelHash, err = sum(m.Kernel); err != nil {
		return f, fmt.Errorf("reading the new kernel: %w", err)
	}
	free := m.Free
	if free == nil {
		free = volume.Free
	}
	if f.ESPFree, err = free(f.boot); err != nil {
		return f, err
	}
	if !f.UEFI {
		f.bios, f.GRUB = m.lookBIOS(f)
		return f, nil
	}
	if info, err := os.Stat(filepath.Join(m.Files, release.TakeoverLoader)); err == nil {
		f.LoaderSize = info.Size()
	}
	f.OldLoaderSize, err = folderSize(filepath.Join(f.boot, bootDir))
	if err != nil {
		return f, fmt.Errorf("reading the old loader: %w", err)
	}
	return f, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// devices finds the slot and the EFI system partition beside it, and what is
// mounted.
func (m Machine) devices(f *found) error {
	all, err := blockdev.List(filepath.Join(m.Root, "sys"))
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile(filepath.Join(m.Root, "proc/self/mountinfo"))
	if err != nil {
		return fmt.Errorf("asking what is mounted: %w", err)
	}
	for _, d := range all {
		if d.Path == m.Device {
			f.slot, f.Partition, f.DeviceSize = d, d.Partition, d.Size
		}
	}
	for _, d := range all {
		switch {
		case f.slot.Disk == "" || d.Disk != f.slot.Disk:
		case d.Partition == layout.ESP && d.PartName == "EFI-SYSTEM":
			f.esp, f.ESP = d, d.Path
		case d.Partition == layout.BIOSBoot && d.PartName == layout.BIOSBootLabel:
			f.bios.partition = d
		}
	}
	f.ESPMounted, f.RootType = mountedOn(string(mounts), f.boot, all), rootType(string(mounts))
	return nil
}

// mountedOn is the device that is mounted on a folder, by mountinfo(5). The
// last one that was mounted counts.
func mountedOn(mountinfo, folder string, all []blockdev.Device) (path string) {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[4] != folder {
			continue
		}
		for _, d := range all {
			if d.Number == fields[2] {
				path = d.Path
			}
		}
	}
	return path
}

// rootType is the type of the root file system, by mountinfo(5).
func rootType(mountinfo string) (kind string) {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		_, after, ok := strings.Cut(line, " - ")
		if about := strings.Fields(after); ok && len(fields) > 4 && fields[4] == "/" && len(about) > 0 {
			kind = about[0]
		}
	}
	return kind
}

func sum(name string) (int64, string, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// folderSize is the room that the files of a folder take; none if there is no
// such folder.
func folderSize(name string) (n int64, err error) {
	entries, err := os.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
	}
	return n, err
}

// table reads the partition table of the disk that the slot is on.
func (f found) table(root string) (gpt.Table, error) {
	disk, err := os.Open(filepath.Join(root, "dev", f.slot.Disk))
	if err != nil {
		return gpt.Table{}, err
	}
	defer disk.Close()
	size, err := disk.Seek(0, io.SeekEnd)
	if err != nil {
		return gpt.Table{}, err
	}
	t, _, err := gpt.Read(disk, size, int(f.slot.SectorSize))
	return t, err
}

func sameContent(a, b string) bool {
	x, errX := os.ReadFile(a)
	y, errY := os.ReadFile(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
