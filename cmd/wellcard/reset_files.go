//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/durable"
)

// resetFiles are what asks the next boot to reset the machine, below a root.
type resetFiles struct{ root string }

// The files beside resetPath and the flag of a first boot. The config that a
// reset replaces is kept on the root file system, which the reset deletes; an
// empty one says that there was none.
const (
	oemConfig   = "oem/config.ign"
	savedConfig = "var/lib/wellcar/config-before-reset.ign"
)

func (r resetFiles) path(name string) string { return filepath.Join(r.root, name) }

func (r resetFiles) flag() string { return filepath.Join(r.root, "boot", layout.FirstBootFlags[0]) }

// stage asks for it. config goes to the OEM partition; nil leaves what is
// there.
func (r resetFiles) stage(rule string, config []byte) error {
	if !r.waits() { // what an earlier reset was told to keep is not this one's
		if err := removeIfThere(r.path(savedConfig)); err != nil {
			return err
		}
	}
	if config != nil {
		if err := r.save(); err != nil {
			return fmt.Errorf("keeping the config that the reset replaces: %w", err)
		}
		if err := durable.WriteFile(r.path(oemConfig), config, 0o600); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(r.flag()), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(r.flag(), nil, 0o644); err != nil {
		return err
	}
	return durable.WriteFile(r.path(resetPath), []byte(rule+"\n"), 0o600)
}

// save keeps the config that is there, unless a reset that waits has done so.
func (r resetFiles) save() error {
	if _, err := os.Lstat(r.path(savedConfig)); err == nil {
		return nil
	}
	old, err := os.ReadFile(r.path(oemConfig))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.path(savedConfig)), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(r.path(savedConfig), old, 0o600)
}

func (r resetFiles) waits() bool {
	_, err := os.Lstat(r.path(resetPath))
	return err == nil
}

// stop takes it back. What asks for the reset goes last, so that a stop that
// was cut can be repeated.
func (r resetFiles) stop() error {
	if !r.waits() {
		return errors.New("no reset is waiting")
	}
	if err := r.restore(); err != nil {
		return fmt.Errorf("putting back the config that the reset replaced: %w", err)
	}
	return errors.Join(removeIfThere(r.flag()), os.Remove(r.path(resetPath)))
}

// restore puts the config back that was kept; if none was, the reset did not
// write one.
func (r resetFiles) restore() error {
	old, err := os.ReadFile(r.path(savedConfig))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(old) == 0:
		err = removeIfThere(r.path(oemConfig))
	default:
		err = durable.WriteFile(r.path(oemConfig), old, 0o600)
	}
	if err != nil {
		return err
	}
	return os.Remove(r.path(savedConfig))
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
