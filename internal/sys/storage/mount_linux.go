package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mount mounts a device with mount(8), which knows the options of all file
// systems and those that are for others than the kernel.
func (m *Machine) Mount(ctx context.Context, device, dir, format string, options []string) error {
	source := device
	if format != "virtiofs" {
		node, err := m.Resolve(ctx, device)
		if err != nil {
			return err
		}
		source = node
	}
	args := []string{"-t", format}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}
	if _, err := m.Run(ctx, "mount", append(args, source, dir)...); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", device, dir, err)
	}
	m.mounted = append(m.mounted, dir)
	return nil
}

// Unmount undoes Mount. What is not mounted is no error.
func (m *Machine) Unmount(ctx context.Context, dir string) error {
	m.mounted = slices.DeleteFunc(m.mounted, func(s string) bool { return s == dir })
	is, err := m.isMounted(dir)
	if err != nil || !is {
		return err
	}
	if _, err := m.Run(ctx, "umount", dir); err != nil {
		return fmt.Errorf("unmounting %s: %w", dir, err)
	}
	return nil
}

// UnmountAll undoes every Mount that was not undone, the last one first.
func (m *Machine) UnmountAll(ctx context.Context) error {
	var errs []error
	for len(m.mounted) > 0 {
		errs = append(errs, m.Unmount(ctx, m.mounted[len(m.mounted)-1]))
	}
	return errors.Join(errs...)
}

func (m *Machine) isMounted(dir string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(m.Proc, "self/mountinfo"))
	if err != nil {
		return false, fmt.Errorf("asking what is mounted: %w", err)
	}
	escaped := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(filepath.Clean(dir))
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == escaped {
			return true, nil
		}
	}
	return false, nil
}
