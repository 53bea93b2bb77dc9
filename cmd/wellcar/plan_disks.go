package main

import (
	"fmt"
	"strings"

	"wellcar.dev/internal/page"
	"wellcar.dev/internal/provision"
)

// smallestDisk is what the image needs, in bytes.
const smallestDisk = 8 << 30

// parseDisks reads --disk flags: [NAME=]SIZE. The first has the image.
func parseDisks(flags []string) ([]provision.DiskFact, error) {
	var sizes []int64
	var names []string
	for i, text := range flags {
		name, size, named := strings.Cut(text, "=")
		if !named {
			name, size = "", text
		}
		bytes, err := page.ParseSize(size)
		if err != nil {
			return nil, fmt.Errorf("--disk %s: %w", text, err)
		}
		if i == 0 && bytes < smallestDisk {
			return nil, fmt.Errorf("--disk %s: the first disk has the image on it and must have at least 8G", text)
		}
		if named && !strings.HasPrefix(name, "/dev/") {
			return nil, fmt.Errorf("--disk %s: %q is no device: write /dev/sdb=10G", text, name)
		}
		names, sizes = append(names, name), append(sizes, int64(bytes))
	}
	disks := provision.VirtualDisks(sizes...)
	for i, name := range names {
		if name == "" {
			continue
		}
		disks[i] = provision.BlankDisk(name, sizes[i])
		if i == 0 {
			disks[i] = provision.ImageDisk(name, sizes[i])
		}
	}
	return disks, nil
}
