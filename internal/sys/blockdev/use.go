//go:build linux

package blockdev

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Uses tells what devices are used for.
type Uses struct {
	sysfs  string
	mounts map[string]string // mount point by "major:minor" and by source
	swaps  map[string]bool   // by node
}

// ReadUses reads what is in use now. sysfs and proc are where the two are
// mounted.
func ReadUses(sysfs, proc string) (Uses, error) {
	u := Uses{sysfs: sysfs, mounts: map[string]string{}, swaps: map[string]bool{}}
	mounts, err := os.ReadFile(filepath.Join(proc, "self/mountinfo"))
	if err != nil {
		return Uses{}, fmt.Errorf("asking what is mounted: %w", err)
	}
	u.readMounts(string(mounts))
	swaps, err := os.ReadFile(filepath.Join(proc, "swaps"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Uses{}, fmt.Errorf("asking what is swapped to: %w", err)
	}
	scan := bufio.NewScanner(strings.NewReader(string(swaps)))
	for scan.Scan() {
		node, _, _ := strings.Cut(scan.Text(), " ")
		u.swaps[node] = true
	}
	return u, nil
}

// readMounts reads proc_pid_mountinfo(5). File systems of several devices,
// such as btrfs, have a number of their own and are found by their source.
func (u Uses) readMounts(text string) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		_, after, found := strings.Cut(line, " - ")
		about := strings.Fields(after)
		if len(fields) < 5 || !found || len(about) < 2 {
			continue
		}
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(fields[4])
		for _, key := range []string{fields[2], about[1]} {
			if u.mounts[key] == "" {
				u.mounts[key] = point
			}
		}
	}
}

// Of says what a device is used for by itself, as in "mounted on /var"; empty
// means nothing.
func (u Uses) Of(d Device) string {
	for _, key := range []string{d.Number, d.Path} {
		if point := u.mounts[key]; point != "" {
			return "mounted on " + point
		}
	}
	if u.swaps[d.Path] {
		return "used as swap"
	}
	holders, _ := os.ReadDir(filepath.Join(u.sysfs, "class/block", d.Name, "holders")) // none of a partition just gone
	if len(holders) == 0 {
		return ""
	}
	name := holders[0].Name()
	if text, err := os.ReadFile(filepath.Join(u.sysfs, "class/block", name, "dm/name")); err == nil {
		name = "/dev/mapper/" + strings.TrimSpace(string(text))
	}
	return "used by " + name
}
