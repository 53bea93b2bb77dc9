//go:build linux

package update

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
)

// GRUB, which starts the machine when the firmware is a BIOS, cannot rename
// files, nor read their names as systemd-boot does. It reads a menu instead,
// made from the names, and counts starts in it. The menu is written before the
// names change: GRUB finds a kernel by its version whatever its counter, and
// leaves one out that is not there.

// hasGRUB says whether the partition was made for a BIOS too.
func (e ESP) hasGRUB() bool {
	_, err := os.Stat(filepath.Join(e.Dir, layout.GrubConfig))
	return err == nil
}

// Fold gives kernels the names that GRUB could not give them when it counted
// their starts.
func (e ESP) Fold() error {
	if !e.hasGRUB() {
		return nil
	}
	var there []slot.Change
	for _, c := range slot.Counted(e.menu()) {
		if _, err := os.Lstat(e.path(c.From.File())); err == nil {
			there = append(there, c)
		}
	}
	return e.Do(there)
}

// menu reads what GRUB goes by; nil if there is none.
func (e ESP) menu() map[string]string {
	vars, _ := slot.ReadMenu(func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(e.Dir, name)) }, layout.GrubEnv, layout.GrubEnvBackup)
	return vars
}

// Refresh makes the menu anew, for who changed the words of the owner.
func (e ESP) Refresh() error { return e.tell(nil, nil) }

// tell writes the menu as it is to be after changes, and with a kernel that is
// to be added.
func (e ESP) tell(changes []slot.Change, added *slot.Entry) error {
	if !e.hasGRUB() {
		return nil
	}
	entries, err := e.entries(changes)
	if err != nil {
		return err
	}
	if added != nil {
		entries = append(entries, *added)
	}
	words, err := e.addedWords()
	if err != nil {
		return err
	}
	block, err := grub.Env(slot.Menu(entries, words), layout.GrubEnvSize)
	if err != nil {
		return fmt.Errorf("telling GRUB of the kernels: %w", err)
	}
	// One of the two is whole whenever the power goes.
	for _, name := range []string{layout.GrubEnvBackup, layout.GrubEnv} {
		if err := overwrite(filepath.Join(e.Dir, name), block); err != nil {
			return fmt.Errorf("telling GRUB of the kernels: %w", err)
		}
	}
	return nil
}

// entries reads the kernels under the names that they will have. What GRUB
// cannot start is left out.
func (e ESP) entries(changes []slot.Change) ([]slot.Entry, error) {
	kernels, err := e.Kernels()
	if err != nil {
		return nil, err
	}
	var entries []slot.Entry
	for _, k := range kernels {
		after := slot.Apply([]slot.Kernel{k}, changes)
		if len(after) == 0 {
			continue
		}
		if entry, err := readEntry(after[0].Name, e.path(k.File())); err == nil {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

func readEntry(n slot.Name, file string) (slot.Entry, error) {
	f, err := os.Open(file)
	if err != nil {
		return slot.Entry{}, err
	}
	defer f.Close()
	return slot.ReadEntry(n, f)
}

// addedWords are those of the add-ons, which systemd-stub reads by itself.
func (e ESP) addedWords() (string, error) {
	files, err := filepath.Glob(filepath.Join(e.Dir, layout.AddonGlob))
	if err != nil {
		return "", err
	}
	var all []string
	for _, name := range files {
		words, err := addonWords(name)
		if err != nil {
			return "", fmt.Errorf("reading the add-on %s: %w", name, err)
		}
		all = append(all, words...)
	}
	return strings.Join(all, " "), nil
}

func addonWords(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line, err := pe.Find(f, ".cmdline")
	return strings.Fields(strings.TrimRight(string(line), "\x00")), err
}

// overwrite replaces the content of a file where it lies, so that a partition
// that is full does not matter, and nothing but the content changes.
func overwrite(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Create(name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if info, statErr := f.Stat(); err == nil && (statErr != nil || info.Size() != int64(len(data))) {
		err = errors.Join(statErr, f.Truncate(int64(len(data))))
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
