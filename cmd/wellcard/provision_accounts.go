//go:build linux

package main

import (
	"context"
	"errors"
	"io/fs"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/rootfs"
)

// shippedRoot has the etc of the image, before a root file system has its own.
const shippedRoot = "/" + layout.Shipped

// shippedAccounts are those of the image that a config names. Nil: the image
// is none of ours, and nothing is known of its accounts.
func shippedAccounts(ctx context.Context, c provision.Config, dir string) (map[string]provision.Account, map[string]int, error) {
	root, err := rootfs.Open(dir, rootfs.Options{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	facts, err := provision.Gather(ctx, c, provision.Target{Files: root})
	return facts.Users, facts.Groups, err
}
