//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/sys/mount"
	"wellcar.dev/internal/sys/rootfs"
	"wellcar.dev/internal/sys/storage"
)

// labelWait is how long a file system may take to appear.
const labelWait = 30 * time.Second

// readLabelled reads a file of the file system with a label, which is mounted
// for that long.
func readLabelled(ctx context.Context, label, name string) ([]byte, error) {
	search, cancel := context.WithTimeout(ctx, labelWait)
	defer cancel()
	disks := storage.This()
	node, err := disks.Resolve(search, "/dev/disk/by-label/"+label)
	if err != nil {
		return nil, err
	}
	content, err := disks.Identify(ctx, node)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "wellcar-config-")
	if err != nil {
		return nil, fmt.Errorf("making a mount point: %w", err)
	}
	defer os.Remove(dir)
	if err := (mount.Mount{Source: node, Target: dir, Type: content.Type, Flags: unix.MS_RDONLY}).Mount(); err != nil {
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
