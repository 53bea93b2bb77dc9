//go:build linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestStopReset takes resets back that wrote a config, and that did not.
func TestStopReset(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		staged []string // "" leaves the config that is there
	}{
		"own config, none staged":    {"mine", []string{""}},
		"own config, one staged":     {"mine", []string{"other"}},
		"own config, staged twice":   {"mine", []string{"other", "third"}},
		"no config, one staged":      {"", []string{"other"}},
		"no config, none staged":     {"", []string{""}},
		"first none, then one":       {"mine", []string{"", "other"}},
		"first one, then none again": {"mine", []string{"other", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			r := resetFiles{t.TempDir()}
			for _, dir := range []string{"oem", "boot"} {
				if err := os.Mkdir(filepath.Join(r.root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if c.before != "" {
				if err := os.WriteFile(r.path(oemConfig), []byte(c.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 2 { // a second reset after the first was taken back
				stageAll(t, r, c.staged)
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
				if got := readConfig(t, r); got != c.before {
					t.Errorf("after stop %d the config is %q, want %q", n, got, c.before)
				}
				if _, err := os.Lstat(r.flag()); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the flag of a first boot is there, %v", err)
				}
			}
			if err := r.stop(); err == nil {
				t.Error("a reset was taken back twice")
			}
		})
	}
}

// TestStopResetAfterAnother: a reset that was done kept what is its own.
func TestStopResetAfterAnother(t *testing.T) {
	r := resetFiles{t.TempDir()}
	if err := os.Mkdir(filepath.Join(r.root, "oem"), 0o755); err != nil {
		t.Fatal(err)
	}
	stageAll(t, r, []string{"first"})
	if err := os.Remove(r.path(resetPath)); err != nil { // as the boot does that resets
		t.Fatal(err)
	}
	stageAll(t, r, []string{""})
	if err := r.stop(); err != nil || readConfig(t, r) != "first" {
		t.Errorf("the config is %q, %v", readConfig(t, r), err)
	}
}

func stageAll(t *testing.T, r resetFiles, configs []string) {
	t.Helper()
	for _, text := range configs {
		config := []byte(text)
		if text == "" {
			config = nil
		}
		if err := r.stage("/etc/keep", config); err != nil {
			t.Fatal(err)
		}
		if got := readConfig(t, r); text != "" && got != text {
			t.Errorf("staged %q, want %q", got, text)
		}
	}
}

func readConfig(t *testing.T, r resetFiles) string {
	t.Helper()
	data, err := os.ReadFile(r.path(oemConfig))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}
