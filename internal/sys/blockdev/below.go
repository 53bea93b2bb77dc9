//go:build linux

package blockdev

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Below lists the kernel's names of the devices that a device-mapper device
// with the given name lies on.
func Below(sysfs, mapping string) ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(sysfs, "class/block/dm-*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		name, err := os.ReadFile(filepath.Join(dir, "dm/name"))
		if err != nil || strings.TrimSpace(string(name)) != mapping {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(dir, "slaves"))
		if err != nil {
			return nil, fmt.Errorf("finding what %s lies on: %w", mapping, err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names, nil
	}
	return nil, fmt.Errorf("finding what %s lies on: device-mapper has no device of that name", mapping)
}
