//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/iso9660"
	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/provision/platform"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/mount"
	"wellcar.dev/internal/sys/rootfs"
)

// drives are the file systems of this machine's disks.
func drives() ([]platform.Drive, error) {
	devices, err := blockdev.List("/sys")
	if err != nil {
		return nil, err
	}
	var all []platform.Drive
	for _, d := range devices {
		info, err := identify(d)
		if err != nil || info.Usage != probe.Filesystem {
			continue // a drive without a disc, or a disk that is busy
		}
		all = append(all, platform.Drive{
			Name: d.Path, Label: info.Label, Type: info.Type,
			ReadFile: func(name string) ([]byte, error) { return readOn(d.Path, info.Type, name) },
		})
	}
	return all, nil
}

func identify(d blockdev.Device) (probe.Info, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return probe.Info{}, err
	}
	defer f.Close()
	return probe.Identify(f, d.Size)
}

// volume is an open file system.
type volume interface {
	ReadFile(name string) ([]byte, error)
}

var readers = map[string]func(io.ReaderAt) (volume, error){
	"iso9660": func(r io.ReaderAt) (volume, error) { return iso9660.Open(r) },
	"vfat":    func(r io.ReaderAt) (volume, error) { return fat.Open(r) },
}

// readOn reads a file of a file system: of the two that config drives have by
// ourselves, of others by mounting it.
func readOn(device, kind, name string) ([]byte, error) {
	open := readers[kind]
	if open == nil {
		return readMounted(device, kind, name)
	}
	f, err := os.Open(device)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v, err := open(f)
	if err != nil {
		return nil, fmt.Errorf("opening the file system of %s: %w", device, err)
	}
	return v.ReadFile(name)
}

func readMounted(device, kind, name string) (data []byte, err error) {
	dir, err := os.MkdirTemp("", "wellcar-drive-")
	if err != nil {
		return nil, fmt.Errorf("making a mount point: %w", err)
	}
	defer os.Remove(dir)
	_, _ = command.Exec(context.Background(), command.Cmd{Path: "modprobe", Args: []string{"-q", kind}}) // it may be built in
	if err := (mount.Mount{Source: device, Target: dir, Type: kind, Flags: unix.MS_RDONLY}).Mount(); err != nil {
		return nil, err
	}
	defer mount.Unmount(dir)
	root, err := rootfs.Open(dir, rootfs.Options{})
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(filepath.Join("/", name))
}
