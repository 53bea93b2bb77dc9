package main

import (
	"fmt"
	"io"
	"os"

	"wellcar.dev/internal/bootargs"
	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
)

const qcow2Magic = "QFI\xfb" // https://www.qemu.org/docs/master/interop/qcow2.html, header

// checkImage refuses a file that no firmware could boot, rather than waiting
// for it.
func checkImage(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("opening the disk image: %w", err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("reading the disk image %s: %w", name, err)
	}
	magic := make([]byte, len(qcow2Magic))
	if _, err := f.ReadAt(magic, 0); err == nil && string(magic) == qcow2Magic {
		return nil // its table cannot be seen from outside
	}
	if _, _, err := gpt.Read(f, size, 512); err != nil {
		return fmt.Errorf("%s is no disk image that can boot: %w; wellcar build makes one", name, err)
	}
	return nil
}

// imagePlatform is the word by which a disk image says where its machine runs,
// in the add-on of its kernel. It is "" for an image that does not say, and one
// that cannot be looked into.
func imagePlatform(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	table, _, err := gpt.Read(f, size, layout.SectorSize)
	if err != nil {
		return ""
	}
	p, _ := table.Partition(layout.ESP)
	esp, err := fat.Open(io.NewSectionReader(f, int64(p.First)*layout.SectorSize, int64(p.Sectors())*layout.SectorSize))
	if err != nil {
		return ""
	}
	addOn, err := esp.ReadFile(layout.KernelAddOn)
	if err != nil {
		return ""
	}
	word, _ := cmdline.Parse(bootargs.Line(addOn)).First("flatcar.oem.id", "coreos.oem.id")
	return word
}
