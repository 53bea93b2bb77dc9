//go:build linux

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/layout"
)

const sectorSize = 512

// GRUB is what GRUB is installed from.
type GRUB struct{ Boot, Core, Config []byte }

// ReadGRUB reads it from a folder.
func ReadGRUB(dir string) (g GRUB, err error) {
	for i, data := range []*[]byte{&g.Boot, &g.Core, &g.Config} {
		if *data, err = os.ReadFile(filepath.Join(dir, layout.GrubFiles[i])); err != nil {
			return g, err
		}
	}
	return g, nil
}

// disk is what a BIOS starts now.
type disk struct {
	code  []byte      // of sector 0
	first uint64      // sector of the BIOS boot partition
	size  int64       // of that partition, bytes
	space io.ReaderAt // its content
}

// half is where the second half of the BIOS boot partition begins, bytes.
func (d disk) half() int64 { return d.size / 2 / sectorSize * sectorSize }

// sector is the sector of the disk for an offset in the partition.
func (d disk) sector(offset int64) uint64 { return d.first + uint64(offset/sectorSize) }

// Flip is a new core image and the boot code that starts it.
type Flip struct {
	core   []byte
	offset int64 // in the BIOS boot partition, bytes
	code   []byte
}

// plan says what is to be written so that a disk starts this GRUB, nil if it
// does.
func plan(g GRUB, d disk) (*Flip, error) {
	now, other := int64(0), d.half()
	switch grub.CoreAt(d.code) {
	case d.sector(now):
	case d.sector(other):
		now, other = other, now
	default:
		return nil, errors.New("sector 0 starts nothing in the BIOS boot partition: the boot code is of somebody else")
	}
	here, err := g.at(d.sector(now))
	if err != nil {
		return nil, err
	}
	if err := grub.Fits(here.core, d.half()); err != nil {
		return nil, err
	}
	old := make([]byte, len(here.core))
	if _, err := d.space.ReadAt(old, now); err != nil {
		return nil, fmt.Errorf("reading the core image: %w", err)
	}
	if bytes.Equal(old, here.core) && bytes.Equal(d.code, here.code) {
		return nil, nil
	}
	if n, ok := grub.Length(old, d.sector(now)); ok && now+n > d.half() && now < other {
		return nil, fmt.Errorf("the core image that starts has %d bytes, more than half of the BIOS boot partition: there is no room beside it", n)
	}
	there, err := g.at(d.sector(other))
	if err != nil {
		return nil, err
	}
	there.offset = other
	return &there, nil
}

// at prepares it for a sector.
func (g GRUB) at(sector uint64) (f Flip, err error) {
	if f.core, err = grub.Core(g.Core, sector); err != nil {
		return f, err
	}
	f.code, err = grub.BootCode(g.Boot, sector)
	return f, err
}
