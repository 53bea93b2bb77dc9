//go:build linux

package takeover

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/loadoption"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/volume"
)

// conversion is one run.
type conversion struct {
	Machine
	found
	record release.Takeover
	entry  string // name of the firmware's variable
}

// Convert makes the next start the new system's. On an error the old system
// goes on as if nothing had been.
func Convert(m Machine) error {
	data, err := os.ReadFile(filepath.Join(m.Files, release.TakeoverRecord))
	if err != nil {
		return fmt.Errorf("moving to the new system: %w", err)
	}
	c := &conversion{Machine: m}
	if c.record, err = release.ParseTakeover(data); err != nil {
		return fmt.Errorf("moving to the new system: %w", err)
	}
	if c.found, err = m.look(); err != nil {
		return fmt.Errorf("moving to %s: %w", c.record.Version, err)
	}
	if err := c.Check(c.record); err != nil {
		return fmt.Errorf("%s does not fit this machine; it goes on as it is:\n%w", c.record.Version, err)
	}
	for _, step := range c.steps() {
		m.Logf("%s", step.what)
		if err := step.do(); err != nil {
			return fmt.Errorf("moving to %s: %s: %w", c.record.Version, step.what, err)
		}
	}
	return nil
}

// step is one of a conversion.
type step struct {
	what string
	do   func() error
}

// steps are all of them in their order: only the last makes the new system start.
func (c *conversion) steps() []step {
	before, after := c.uefiSteps()
	if !c.UEFI {
		before, after = c.biosSteps()
	}
	return slices.Concat(before, []step{
		{"completing /usr", c.complete},
		{"verifying /usr", c.verify},
		{"keeping the old loader away from the new slot", c.hideSlot},
	}, after)
}

func (c *conversion) uefiSteps() (before, after []step) {
	return []step{{"adding an entry to the firmware", c.addEntry}}, []step{
		{"putting loader and kernel on the EFI system partition", c.placeLoader},
		{"choosing the new system for the next start", c.choose},
	}
}

// addEntry makes a boot entry that the firmware's order does not hold, or
// takes the one that is there from an earlier try.
func (c *conversion) addEntry() error {
	t, err := c.table(c.Root)
	if err != nil {
		return err
	}
	esp, ok := t.Partition(c.esp.Partition)
	if !ok {
		return fmt.Errorf("partition %d is not in the table of %s", c.esp.Partition, c.esp.Disk)
	}
	o := loadoption.Option{Description: entryName, Partition: uint32(esp.Number), Start: esp.First, Size: esp.Sectors(), GUID: esp.GUID.OnDisk(),
		File: `\` + strings.ReplaceAll(ourLoader, "/", `\`)}
	if c.entry, err = c.freeEntry(); err != nil {
		return err
	}
	return c.Vars.Set(c.entry, o.Encode())
}

// freeEntry is the name of our entry, or the first that is not taken.
func (c *conversion) freeEntry() (string, error) {
	free := ""
	for n := range 256 {
		name := fmt.Sprintf("Boot%04X", n)
		data, ok, err := c.Vars.Get(name)
		if err != nil {
			return "", err
		}
		if !ok && free == "" {
			free = name
		}
		if d, err := loadoption.Description(data); ok && err == nil && d == entryName {
			return name, nil
		}
	}
	if free == "" {
		return "", errors.New("the firmware has 256 boot entries already: delete some")
	}
	return free, nil
}

// complete puts the displaced blocks back into the image.
func (c *conversion) complete() error {
	data, err := os.ReadFile(filepath.Join(c.Files, release.TakeoverBlocks))
	if err != nil {
		return err
	}
	if len(data) != len(c.record.Displaced)*verity.BlockSize {
		return fmt.Errorf("%d bytes are not %d blocks", len(data), len(c.record.Displaced))
	}
	f, err := os.OpenFile(filepath.Join(c.Root, c.slot.Path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for i, n := range c.record.Displaced {
		if _, err = f.WriteAt(data[i*verity.BlockSize:(i+1)*verity.BlockSize], int64(n)*verity.BlockSize); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// verify reads all of the slot.
func (c *conversion) verify() error {
	f, err := os.Open(filepath.Join(c.Root, c.slot.Path))
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := hex.DecodeString(c.record.RootHash)
	if err != nil {
		return err
	}
	return verity.Verify(f, 0, c.record.UsrSize, [32]byte(raw))
}

// hideSlot takes the marks away by which the old loader could choose the slot,
// whose kernel it would not find.
func (c *conversion) hideSlot() error {
	t, err := c.table(c.Root)
	if err != nil {
		return err
	}
	for i, p := range t.Partitions {
		if p.Number == c.slot.Partition {
			t.Partitions[i].Attributes = gpt.WithSlot(p.Attributes, gpt.SlotState{})
		}
	}
	f, err := os.OpenFile(filepath.Join(c.Root, "dev", c.slot.Disk), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err = t.Write(f); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// placeLoader puts systemd-boot and the kernel on the EFI system partition.
func (c *conversion) placeLoader() error {
	data, err := os.ReadFile(filepath.Join(c.Files, release.TakeoverLoader))
	if err != nil {
		return err
	}
	last, _ := load(c.boot)
	again := last.Again || last.Stage == kept
	name := slot.Name{Version: c.record.Version, Counted: true, Left: slot.Tries}
	return c.place(map[string][]byte{ourLoader: data}, state{Version: c.record.Version, Stage: onTrial, Entry: c.entry, Again: again}, name)
}

// place puts our files on the EFI system partition. The kernel is there
// already, under the name of one of the old system's.
func (c *conversion) place(files map[string][]byte, s state, kernel slot.Name) error {
	for _, d := range []string{dir, slot.Dir} {
		if err := os.MkdirAll(filepath.Join(c.boot, d), 0o755); err != nil {
			return err
		}
	}
	if err := c.removeOthers(); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.MkdirAll(filepath.Join(c.boot, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		if err := volume.Replace(filepath.Join(c.boot, name), data); err != nil {
			return err
		}
	}
	if err := s.save(c.boot); err != nil {
		return err
	}
	if err := os.Rename(c.Kernel, filepath.Join(c.boot, slot.Dir, kernel.File())); err != nil {
		return err
	}
	return volume.Sync(c.boot)
}

// removeOthers removes kernels of ours that an earlier try left.
func (c *conversion) removeOthers() error {
	entries, err := os.ReadDir(filepath.Join(c.boot, slot.Dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ours := slot.ParseName(e.Name()); ours {
			if err := os.Remove(filepath.Join(c.boot, slot.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// choose makes the firmware start our entry once. A machine that a person took
// back to the old system after an earlier move has that in our loader's
// configuration; without it the loader starts what has starts left.
func (c *conversion) choose() error {
	if b := (Boot{Dir: c.boot}); b.namesOld() {
		if err := b.chooseByLoader(false); err != nil {
			return err
		}
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(c.entry, "Boot"), 16, 16)
	if err != nil {
		return err
	}
	return c.Vars.Set("BootNext", []byte{byte(n), byte(n >> 8)})
}
