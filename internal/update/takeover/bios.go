//go:build linux

package takeover

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/update/loader"
)

// bios is what the steps need on a machine that a BIOS started.
type bios struct {
	partition blockdev.Device // for core images
	machine   loader.Machine
	grub      loader.GRUB
	old       []byte // sector 0 as the old system has it
	swapped   bool   // sector 0 starts ours, from an earlier try
	flip      *loader.Flip
}

// lookBIOS finds out how GRUB is to be installed, or why it cannot be.
func (m Machine) lookBIOS(f found) (b bios, err error) {
	b = f.bios
	b.machine = loader.Machine{Root: m.Root, ESP: f.boot, Disk: "/dev/" + f.slot.Disk, BIOSBoot: b.partition, Write: m.Write}
	if b.grub, err = loader.ReadGRUB(m.Files); err != nil {
		return b, fmt.Errorf("the payload lacks it: %w", err)
	}
	if b.old, err = b.machine.Sector(); err != nil {
		return b, err
	}
	if saved, err := os.ReadFile(filepath.Join(f.boot, beforeSector)); err == nil && len(saved) == len(b.old) && !b.startsFirst(b.old) && b.startsFirst(saved) {
		b.old, b.swapped = saved, true
	}
	if b.partition.Path != "" && !b.startsFirst(b.old) {
		return b, errors.New("sector 0 does not start what is at the beginning of the BIOS boot partition")
	}
	b.flip, err = b.machine.Plan(b.grub, b.old[:grub.CodeSize])
	if err == nil && b.flip == nil {
		err = errors.New("sector 0 starts this GRUB already")
	}
	return b, err
}

// startsFirst says that a sector 0 starts the core image at the beginning of
// the partition, where every installer puts it.
func (b bios) startsFirst(sector []byte) bool {
	return grub.CoreAt(sector) == uint64(b.partition.Start/layout.SectorSize)
}

func (c *conversion) biosSteps() (before, after []step) {
	return []step{{"letting the old system start until all is there", c.putBack}}, []step{
		{"putting GRUB's files and the kernel on the EFI system partition", c.placeGRUB},
		{"choosing the new system for the next start", func() error { return c.bios.machine.Flip(*c.bios.flip) }},
	}
}

// putBack takes back what an earlier try wrote into sector 0.
func (c *conversion) putBack() error {
	if !c.bios.swapped {
		return nil
	}
	return c.bios.machine.SetCode(c.bios.old[:grub.CodeSize])
}

// placeGRUB puts what GRUB reads and the kernel on the EFI system partition.
// The kernel has one start: whatever becomes of it, the next one is the old
// system's.
func (c *conversion) placeGRUB() error {
	name := slot.Name{Version: c.record.Version, Counted: true, Left: 1}
	uki, err := os.Open(c.Kernel)
	if err != nil {
		return err
	}
	defer uki.Close()
	entry, err := slot.ReadEntry(name, uki)
	if err != nil {
		return err
	}
	menu, err := grub.Env(slot.Menu([]slot.Entry{entry}, ""), layout.GrubEnvSize)
	if err != nil {
		return err
	}
	if err := (Boot{Dir: c.boot}).chooseByGRUB(false); err != nil { // of an earlier try
		return err
	}
	files := map[string][]byte{beforeSector: c.bios.old, layout.GrubConfig: c.bios.grub.Config, layout.GrubEnv: menu, layout.GrubEnvBackup: menu}
	return c.place(files, state{Version: c.record.Version, Stage: onTrial, BIOS: true}, name)
}
