package provision

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"wellcar.dev/internal/sys/rootfs"
)

const systemctl = "/usr/bin/systemctl"

func (a *WriteUnit) do(_ context.Context, m *machine) (Outcome, error) {
	return Done, m.write(a.path(), a.Content.Bytes(), rootfs.Meta{Perm: defaultFileMode})
}

func (a *WriteDropin) do(_ context.Context, m *machine) (Outcome, error) {
	return Done, m.write(a.path(), a.Content.Bytes(), rootfs.Meta{Perm: defaultFileMode})
}

func (a *EnablePreset) do(_ context.Context, m *machine) (Outcome, error) {
	return m.presetLine("enable", a.Unit, a.Instances)
}

func (a *DisablePreset) do(ctx context.Context, m *machine) (Outcome, error) {
	var were []string
	for _, unit := range a.units() {
		// is-enabled says no by its exit code, so its error is an answer.
		if _, err := m.tool(ctx, systemctl, "is-enabled", "--quiet", unit); err != nil {
			continue
		}
		if _, err := m.tool(ctx, systemctl, "disable", unit); err != nil {
			return Failed, err
		}
		_, instance := splitInstance(unit)
		were = append(were, instance)
	}
	if len(were) == 0 {
		return Kept, nil
	}
	if len(a.Instances) == 0 {
		were = nil
	}
	return m.presetLine("disable", a.Unit, were)
}

// units are the names that the preset stands for.
func (a *DisablePreset) units() []string {
	if len(a.Instances) == 0 {
		return []string{a.Unit}
	}
	out := make([]string, len(a.Instances))
	for i, instance := range a.Instances {
		out[i] = strings.Replace(a.Unit, "@.", "@"+instance+".", 1)
	}
	return out
}

// presetLine adds a line to the preset file unless it is there.
func (m *machine) presetLine(verb, unit string, instances []string) (Outcome, error) {
	line := strings.Join(append([]string{verb, unit}, instances...), " ") + "\n"
	if m.presets == nil {
		if err := m.readPresets(); err != nil {
			return Failed, err
		}
	}
	if m.presets[line] {
		return Kept, nil
	}
	m.presets[line] = true
	return Done, m.Files.AppendFile(presetFile, []byte(line), defaultFileMode)
}

// readPresets remembers the lines of the preset file, which is made if it is
// missing.
func (m *machine) readPresets() error {
	old, err := m.Files.ReadFile(presetFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = m.write(presetFile, nil, rootfs.Meta{Perm: defaultFileMode})
	}
	m.presets = map[string]bool{}
	for line := range strings.Lines(string(old)) {
		m.presets[line] = true
	}
	return err
}

func (a *Mask) do(_ context.Context, m *machine) (Outcome, error) {
	name := path.Join(unitDir, a.Unit)
	if m.masked(name) {
		return Kept, nil
	}
	if err := m.Files.RemoveAll(name); err != nil {
		return Failed, err
	}
	if err := m.Files.MkdirAll(unitDir, defaultDirMode); err != nil {
		return Failed, err
	}
	return Done, m.Files.Symlink("/dev/null", name)
}

func (a *Unmask) do(_ context.Context, m *machine) (Outcome, error) {
	name := path.Join(unitDir, a.Unit)
	if !m.masked(name) {
		return Kept, nil
	}
	return Done, m.Files.RemoveAll(name)
}

func (m *machine) masked(name string) bool {
	target, err := m.Files.Readlink(name)
	return err == nil && target == "/dev/null"
}
