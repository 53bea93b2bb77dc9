//go:build linux

package netif

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/modindex"
	"wellcar.dev/internal/sys/command"
)

// Drivers are the drivers of network devices that one kernel has.
type Drivers struct {
	run     command.Runner
	dir     string
	aliases string          // modules.alias
	network map[string]bool // modules by name
}

// FindDrivers finds those of the running kernel, in the modules below
// DIR/lib/modules.
func FindDrivers(run command.Runner, dir string) (*Drivers, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("asking the kernel for its version: %w", err)
	}
	modules := filepath.Join(dir, "lib/modules", unix.ByteSliceToString(uts.Release[:]))
	aliases, err := os.ReadFile(filepath.Join(modules, "modules.alias"))
	if err != nil {
		return nil, fmt.Errorf("looking for network drivers: %w", err)
	}
	deps, err := os.ReadFile(filepath.Join(modules, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("looking for network drivers: %w", err)
	}
	return &Drivers{run, dir, string(aliases), networkModules(string(deps))}, nil
}

// Load loads the drivers of devices, which have these aliases, and the modules
// named besides. With modprobe(8), which heeds the kernel command line.
func (d *Drivers) Load(ctx context.Context, devices []string, more ...string) error {
	names := append(drivers(d.aliases, d.network, devices), more...)
	if len(names) == 0 {
		return nil
	}
	_, err := d.run(ctx, command.Cmd{Path: "/usr/sbin/modprobe", Args: append([]string{"-d", d.dir, "-a", "-b"}, names...)})
	return err
}

// Devices are the aliases of all devices that the kernel found.
func Devices() ([]string, error) { return modaliases("/sys/devices") }

// modaliases are those of all devices.
func modaliases(root string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // went away meanwhile
			return nil
		}
		if err != nil || d.Name() != "modalias" {
			return err
		}
		if text, err := os.ReadFile(name); err == nil {
			out = append(out, strings.TrimSpace(string(text)))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for network devices: %w", err)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// networkModules are the names of the drivers of network devices in
// modules.dep.
func networkModules(deps string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(deps) {
		file, _, _ := strings.Cut(line, ":")
		if strings.HasPrefix(file, "kernel/drivers/net/") && !strings.HasPrefix(file, "kernel/drivers/net/wireless/") {
			out[modindex.Name(file)] = true
		}
	}
	return out
}

// drivers are those of the wanted modules that fit one of the devices.
func drivers(aliases string, wanted map[string]bool, devices []string) []string {
	var out []string
	for line := range strings.Lines(aliases) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "alias" || !wanted[f[2]] || slices.Contains(out, f[2]) {
			continue
		}
		if slices.ContainsFunc(devices, func(d string) bool { return modindex.Match(f[1], d) }) {
			out = append(out, f[2])
		}
	}
	return out
}
