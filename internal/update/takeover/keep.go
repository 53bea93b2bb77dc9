//go:build linux

package takeover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/sys/efivar"
	"wellcar.dev/internal/sys/volume"
)

// stage is how far a machine has come.
type stage string

const (
	onTrial stage = "trial" // the firmware's default is still the old loader
	kept    stage = "kept"  // ours is the default, and has an entry for the old one
)

// state is what stateFile holds.
type state struct {
	Version string `json:"version"`
	Stage   stage  `json:"stage"`
	Entry   string `json:"entry"` // name of the firmware's variable
	BIOS    bool   `json:"bios,omitempty"`
	Again   bool   `json:"again,omitempty"` // it came once before: our loader is the default already
}

func (s state) save(boot string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return volume.Replace(filepath.Join(boot, stateFile), append(data, '\n'))
}

func load(boot string) (s state, ok bool) {
	data, err := os.ReadFile(filepath.Join(boot, stateFile))
	if err != nil || json.Unmarshal(data, &s) != nil {
		return state{}, false
	}
	return s, true
}

// Boot is a mounted EFI system partition and the firmware's variables, on the
// new system.
type Boot struct {
	Dir  string
	Vars efivar.Vars
}

// OnTrial says that the machine runs the new system for the first time: a
// reboot brings the old one back.
func (b Boot) OnTrial() bool {
	s, ok := load(b.Dir)
	return ok && s.Stage == onTrial
}

// OldSystem says that the old system can still be started.
func (b Boot) OldSystem() bool {
	_, ok := load(b.Dir)
	return ok
}

// Keep makes our loader the default. It does nothing unless the new system is
// on trial. Its order keeps the machine startable: the old loader is set
// aside whole before ours takes its place.
func (b Boot) Keep() error {
	s, ok := load(b.Dir)
	if !ok || s.Stage != onTrial {
		return nil
	}
	if !s.BIOS { // there it is since sector 0 starts it
		if err := b.keep(s.Again); err != nil {
			return fmt.Errorf("making the new loader the default: %w", err)
		}
	}
	s.Stage = kept
	if err := s.save(b.Dir); err != nil {
		return fmt.Errorf("making the new loader the default: %w", err)
	}
	if s.Entry != "" {
		return b.Vars.Delete(s.Entry) // firmware without it starts the default
	}
	return nil
}

// keep sets the default aside if it is the old system's.
func (b Boot) keep(ours bool) error {
	path := func(name string) string { return filepath.Join(b.Dir, name) }
	def := filepath.Join(path(bootDir), bootFile)
	if !ours && !sameContent(def, path(ourLoader)) { // it is, after a cut
		if err := b.setAside(); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{entryFile: oldEntry, confFile: "timeout 0\n"} {
		if name == confFile && exists(path(name)) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path(name)), 0o755); err != nil {
			return err
		}
		if err := volume.Replace(path(name), []byte(text)); err != nil {
			return err
		}
	}
	if err := volume.Sync(b.Dir); err != nil {
		return err
	}
	data, err := os.ReadFile(path(ourLoader))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(path(bootDir), 0o755); err != nil {
		return err
	}
	if err := volume.Replace(def, data); err != nil {
		return err
	}
	return volume.Sync(b.Dir)
}

// setAside copies what the firmware starts by default.
func (b Boot) setAside() error {
	from, to := filepath.Join(b.Dir, bootDir), filepath.Join(b.Dir, before)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := volume.Replace(filepath.Join(to, e.Name()), data); err != nil {
			return err
		}
	}
	return nil
}

// doomed is what only the old system needs.
func (b Boot) doomed() (out []string) {
	for _, name := range append([]string{entryFile, before, ourLoader, beforeSector}, oldKernels...) {
		out = append(out, filepath.Join(b.Dir, name))
	}
	return append(out, filepath.Join(b.Dir, stateFile)) // last: it says that there is something to do
}

// Room is what Retire makes free, bytes.
func (b Boot) Room() (n int64) {
	if !b.OldSystem() {
		return 0
	}
	for _, top := range b.doomed() {
		filepath.WalkDir(top, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if info, err := d.Info(); err == nil {
					n += info.Size()
				}
			}
			return nil
		})
	}
	return n
}

// Retire removes what starts the old system, whose slot is about to be
// overwritten.
func (b Boot) Retire() error {
	if !b.OldSystem() {
		return nil
	}
	if err := b.ChooseOld(false); err != nil {
		return err
	}
	for _, name := range b.doomed() {
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("removing what started the old system: %w", err)
		}
	}
	return volume.Sync(b.Dir)
}

// defaultOld is the line of the loader's configuration that starts the old
// system.
const defaultOld = "default " + OldEntry + "\n"

// OldFirst says that the loader starts the old system.
func (b Boot) OldFirst() bool {
	return (b.namesOld() || exists(filepath.Join(b.Dir, beforeFirst))) && b.startsOld()
}

// namesOld says that the configuration of our loader has the old system for its
// default.
func (b Boot) namesOld() bool {
	text, err := os.ReadFile(filepath.Join(b.Dir, confFile))
	return err == nil && strings.Contains(string(text), defaultOld)
}

// startsOld says that our loader has an entry for the old system.
func (b Boot) startsOld() bool {
	s, ok := load(b.Dir)
	return ok && s.Stage == kept
}

// ChooseOld makes the loader start the old system from now on, or ours again.
func (b Boot) ChooseOld(old bool) error {
	switch {
	case b.startsOld():
	case old:
		return errors.New("choosing the old system: the EFI system partition has none")
	default:
		return nil
	}
	choose := b.chooseByLoader
	if s, _ := load(b.Dir); s.BIOS {
		choose = b.chooseByGRUB
	}
	if err := choose(old); err != nil {
		return fmt.Errorf("choosing what starts next: %w", err)
	}
	return volume.Sync(b.Dir)
}

func (b Boot) chooseByLoader(old bool) error {
	text := "timeout 0\n"
	if old {
		text += defaultOld
	}
	return volume.Replace(filepath.Join(b.Dir, confFile), []byte(text))
}

func (b Boot) chooseByGRUB(old bool) error {
	name := filepath.Join(b.Dir, beforeFirst)
	if old {
		return volume.Replace(name, nil)
	}
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
