//go:build linux

// Package blockdev lists the block devices of the machine and changes the
// kernel's idea of their partitions.
//
// Sources: sysfs (Documentation/ABI/stable/sysfs-block), the BLK* and BLKPG
// ioctls of linux/fs.h and linux/blkpg.h. What is written on a device is the
// business of the format packages.
package blockdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// Device is a disk or a partition.
type Device struct {
	Name       string // kernel's name: vda, vda9, nvme0n1p9, dm-0
	Path       string // device node: /dev/vda9
	Number     string // "major:minor"
	Disk       string // name of the disk that a partition is on; empty for a disk
	Partition  int    // number in the table; 0 for a disk
	PartName   string // label in the table
	PartUUID   string // GUID in the table, as the kernel writes it (lower case); may be empty
	Start      int64  // of a partition on its disk, bytes
	Size       int64  // bytes
	SectorSize int64  // logical block size, bytes
	ReadOnly   bool
}

// IsDisk says that the device is a whole disk.
func (d Device) IsDisk() bool { return d.Partition == 0 }

// sizeUnit is what sysfs counts sizes in, whatever the sector size.
const sizeUnit = 512

// List returns all block devices with a size, each disk before its
// partitions, partitions by number. sysfs is where sysfs is mounted, "/sys".
func List(sysfs string) ([]Device, error) {
	dir := filepath.Join(sysfs, "class/block")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no block driver is loaded yet
	}
	if err != nil {
		return nil, fmt.Errorf("listing block devices: %w", err)
	}
	var devices []Device
	for _, e := range entries {
		d, err := read(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			continue // it went while we looked
		}
		if err != nil {
			return nil, fmt.Errorf("reading about block device %s: %w", e.Name(), err)
		}
		if d.Size > 0 {
			devices = append(devices, d)
		}
	}
	sort.SliceStable(devices, func(i, j int) bool { return before(devices[i], devices[j]) })
	return devices, nil
}

func before(a, b Device) bool {
	if x, y := a.disk(), b.disk(); x != y {
		return len(x) < len(y) || len(x) == len(y) && x < y
	}
	return a.Partition < b.Partition
}

func (d Device) disk() string {
	if d.Disk != "" {
		return d.Disk
	}
	return d.Name
}

func read(dir string) (Device, error) {
	about, err := os.ReadFile(filepath.Join(dir, "uevent"))
	if err != nil {
		return Device{}, err
	}
	v := properties(string(about))
	d := Device{
		Name: filepath.Base(dir), Path: "/dev/" + v["DEVNAME"], Number: v["MAJOR"] + ":" + v["MINOR"],
		PartName: v["PARTNAME"], PartUUID: v["PARTUUID"],
	}
	queue := filepath.Join(dir, "queue")
	if v["DEVTYPE"] == "partition" {
		target, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return Device{}, err
		}
		d.Disk = filepath.Base(filepath.Dir(target))
		d.Partition, _ = strconv.Atoi(v["PARTN"])
		queue = filepath.Join(filepath.Dir(target), "queue")
		start, err := number(dir, "start")
		if err != nil {
			return Device{}, err
		}
		d.Start = start * sizeUnit
	}
	sectors, err := number(dir, "size")
	if err != nil {
		return Device{}, err
	}
	ro, err := number(dir, "ro")
	if err != nil {
		return Device{}, err
	}
	d.Size, d.ReadOnly = sectors*sizeUnit, ro != 0
	d.SectorSize, err = number(queue, "logical_block_size")
	return d, err
}

func properties(text string) map[string]string {
	v := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			v[key] = value
		}
	}
	return v
}

func number(dir, name string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}
