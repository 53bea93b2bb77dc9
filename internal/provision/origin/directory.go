package origin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"wellcar.dev/internal/provision/platform"
)

// Directories are where the system keeps configs, the highest first.
type Directories []string

// DefaultDirectories are those of Ignition.
var DefaultDirectories = Directories{"/run/ignition", "/etc/ignition", "/usr/lib/ignition"}

// Base reads the configs that lie below the user's, in the order in which
// they are laid over each other. warn hears of a platform's directory that
// cannot be read, which stops nothing.
func (d Directories) Base(platformID string, warn func(error)) ([]platform.Found, error) {
	found, err := d.union("base.d")
	if err != nil {
		return nil, err
	}
	own, err := d.union(filepath.Join("base.platform.d", platformID))
	if err != nil {
		warn(err)
		return found, nil
	}
	return append(found, own...), nil
}

// union reads a directory that may be in several places.
func (d Directories) union(name string) ([]platform.Found, error) {
	paths := map[string]string{}
	for _, dir := range slices.Backward(d) {
		entries, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for base configs: %w", err)
		}
		for _, e := range entries {
			paths[e.Name()] = filepath.Join(dir, name, e.Name())
		}
	}
	var out []platform.Found
	for _, base := range sortedKeys(paths) {
		data, err := os.ReadFile(paths[base])
		if err != nil {
			return nil, fmt.Errorf("reading a base config: %w", err)
		}
		out = append(out, platform.Found{Name: paths[base], Data: data})
	}
	return out, nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// User reads the user's config, that of the highest directory that has one.
func (d Directories) User() (f platform.Found, ok bool, err error) {
	for _, dir := range d {
		name := filepath.Join(dir, "user.ign")
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return f, false, fmt.Errorf("reading the user's config: %w", err)
		}
		return platform.Found{Name: name, Data: data}, true, nil
	}
	return f, false, nil
}
