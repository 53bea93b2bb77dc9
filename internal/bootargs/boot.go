package bootargs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/format/grubcfg"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/durable"
)

// limit is what a kernel takes of its command line, bytes (x86
// COMMAND_LINE_SIZE, less the NUL).
const limit = 2047

// Boot is where a machine keeps what starts it.
type Boot struct {
	ESP     string // directory that the EFI system partition is mounted on
	OEM     string // the same of the OEM partition; empty: there is none
	Stub    string // file with systemd-stub's base of an add-on
	Image   string // the command line of the image
	Running string // the command line that this kernel was started with
}

// Outcome is what came of a change.
type Outcome struct {
	Changed bool     // the add-on has other words than before
	Missing []string // items to add that the running kernel was not started with
	Left    []string // items to remove that it was started with, other than the image's
}

// Change changes the settings and the add-on. Words to add that the image has
// are left out.
func (b Boot) Change(add, remove []string) (Outcome, error) {
	var missing []string
	for _, item := range add {
		if !cmdline.Has(b.Image, item) {
			missing = append(missing, item)
		}
	}
	if err := b.changeSettings(missing, remove); err != nil {
		return Outcome{}, err
	}
	var changed bool
	var err error
	if b.hasSettings() {
		changed, err = b.Sync()
	} else {
		changed, err = b.changeAddOn(missing, remove)
	}
	out := Outcome{Changed: changed}
	for _, item := range add {
		if !cmdline.Has(b.Running, item) {
			out.Missing = append(out.Missing, item)
		}
	}
	for _, item := range remove {
		if cmdline.Has(b.Running, item) && !cmdline.Has(b.Image, item) {
			out.Left = append(out.Left, item)
		}
	}
	return out, err
}

func (b Boot) settings() string { return filepath.Join(b.OEM, layout.BootSettings) }

func (b Boot) hasSettings() bool {
	_, err := os.Stat(b.settings())
	return b.OEM != "" && err == nil
}

// changeSettings writes the file anew if something changes.
func (b Boot) changeSettings(add, remove []string) error {
	if b.OEM == "" {
		return nil
	}
	text, err := os.ReadFile(b.settings())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the boot settings: %w", err)
	}
	before := grubcfg.Parse(string(text)).Append
	after, err := edit(before, add, remove)
	if err != nil {
		return err
	}
	if after == strings.Join(strings.Fields(before), " ") {
		return nil
	}
	changed := grubcfg.SetAppend(string(text), after)
	if err := b.fits(grubcfg.Parse(changed).Line()); err != nil {
		return err
	}
	if err := durable.WriteFile(b.settings(), []byte(changed), 0o644); err != nil {
		return fmt.Errorf("writing the boot settings: %w", err)
	}
	return nil
}

// Settings is the line that the settings ask for. Without settings it is not
// known.
func (b Boot) Settings() (line string, known bool, err error) {
	if b.OEM == "" {
		return "", false, nil
	}
	text, err := os.ReadFile(b.settings())
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading the boot settings: %w", err)
	}
	return grubcfg.Parse(string(text)).Line(), true, nil
}

// Sync makes the add-on of the settings. Without settings it stays as it is.
func (b Boot) Sync() (changed bool, err error) {
	line, known, err := b.Settings()
	if err != nil || !known {
		return false, err
	}
	return b.setAddOn(line)
}

func (b Boot) changeAddOn(add, remove []string) (changed bool, err error) {
	line, err := b.AddOn()
	if err != nil {
		return false, err
	}
	if line, err = edit(line, add, remove); err != nil {
		return false, err
	}
	return b.setAddOn(line)
}

func (b Boot) addOn() string { return filepath.Join(b.ESP, filepath.FromSlash(layout.KernelAddOn)) }

// AddOn reads the words of the add-on; without one there are none.
func (b Boot) AddOn() (string, error) {
	file, err := os.ReadFile(b.addOn())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the add-on of the kernel: %w", err)
	}
	return Line(file), nil
}

// Line is the words of an add-on. A damaged one has none, and is made anew.
func Line(addOn []byte) string {
	line, err := pe.Find(bytes.NewReader(addOn), ".cmdline")
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(line), "\x00")
}

// setAddOn writes, or deletes, the add-on if it has other words.
func (b Boot) setAddOn(line string) (changed bool, err error) {
	if now, err := b.AddOn(); err != nil || now == line {
		return false, err
	}
	if line == "" {
		return true, b.removeAddOn()
	}
	if err := b.fits(line); err != nil {
		return false, err
	}
	file, err := b.make(line)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(b.addOn()), 0o755)
	}
	if err == nil {
		err = durable.WriteFile(b.addOn(), file, 0o644)
	}
	if err != nil {
		return false, fmt.Errorf("writing the add-on of the kernel: %w", err)
	}
	return true, nil
}

// fits tells whether the kernel reads all of a line behind the image's.
func (b Boot) fits(line string) error {
	if n := len(b.Image) + 1 + len(line); n > limit {
		return fmt.Errorf("the kernel command line would have %d bytes, and the kernel reads %d of them", n, limit)
	}
	return nil
}

func (b Boot) make(line string) ([]byte, error) {
	stub, err := os.ReadFile(b.Stub)
	if err != nil {
		return nil, err
	}
	return Make(stub, line)
}

// Make makes an add-on with the words of a line. The stub is systemd-stub's
// base of one.
func Make(stub []byte, line string) ([]byte, error) {
	return pe.Build(stub, []pe.Section{{Name: ".cmdline", Data: []byte(line)}})
}

func (b Boot) removeAddOn() error {
	err := os.Remove(b.addOn())
	if err == nil {
		err = durable.SyncDir(filepath.Dir(b.addOn()))
	}
	if err != nil {
		return fmt.Errorf("deleting the add-on of the kernel: %w", err)
	}
	return nil
}
