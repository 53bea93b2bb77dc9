// Package grub prepares the parts of GNU GRUB that a BIOS starts, and reads
// and writes its environment blocks.
//
// A BIOS runs the boot code in sector 0 of a disk. It loads the first sector
// of the core image, whose block list says where the rest of it is. On a disk
// with a GUID partition table the core image lies in a partition of its own,
// the BIOS boot partition. The places of the fields are those of GRUB 2.12
// (include/grub/i386/pc/boot.h and include/grub/offsets.h of its sources).
//
// Limits: i386-pc only, core images in one piece and without Reed-Solomon
// codes.
//
//	code, err := grub.BootCode(bootImg, first)
//	core, err := grub.Core(coreImg, first)
package grub

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	sectorSize = 512
	// CodeSize is how much of sector 0 is boot code, bytes. What follows is the
	// disk signature and the partition records.
	CodeSize = 440

	bootCore       = 0x5c // sector of the core image, 8 bytes
	bootDrive      = 0x64 // 0xff: the drive that the BIOS names
	bootDriveCheck = 0x66 // a jump around a repair of what the BIOS names

	listEntry = 12                     // bytes: a sector, how many, and where to
	listAt    = sectorSize - listEntry // of the first sector: the first entry of the block list, which goes down
	segment   = 0x820                  // where the second sector goes, in paragraphs
)

var le = binary.LittleEndian

// BootCode is what belongs in the first 440 bytes of a hard disk whose core
// image begins at a sector. boot is GRUB's boot.img.
func BootCode(boot []byte, core uint64) ([]byte, error) {
	if len(boot) != sectorSize || boot[510] != 0x55 || boot[511] != 0xaa || boot[bootDrive] != 0xff {
		return nil, errors.New("preparing the boot code: it is not GRUB's boot.img")
	}
	code := append([]byte(nil), boot[:CodeSize]...)
	le.PutUint64(code[bootCore:], core)
	// Let a BIOS that names the drive wrongly be set right: it is a hard disk.
	code[bootDriveCheck], code[bootDriveCheck+1] = 0x90, 0x90
	return code, nil
}

// Core is a core image as it belongs on a disk from a sector on. image is what
// grub-mkimage made.
func Core(image []byte, first uint64) ([]byte, error) {
	sectors := (len(image) + sectorSize - 1) / sectorSize
	if sectors < 3 || le.Uint16(image[listAt+10:]) != segment || int(le.Uint16(image[listAt+8:])) != sectors-1 {
		return nil, errors.New("preparing the core image: it was not made for i386-pc")
	}
	core := make([]byte, sectors*sectorSize)
	copy(core, image)
	le.PutUint64(core[listAt:], first+1)
	return core, nil
}

// CoreAt is the sector of the core image that boot code starts, 0 if it is too
// short for one.
func CoreAt(code []byte) uint64 {
	if len(code) < CodeSize {
		return 0
	}
	return le.Uint64(code[bootCore:])
}

// Length is how long a core image on a disk is by its own block list, bytes.
// start is its first sector, which lies on the disk at sector first. ok is
// false if it is none, or not in one piece.
func Length(start []byte, first uint64) (n int64, ok bool) {
	if len(start) < sectorSize || le.Uint64(start[listAt:]) != first+1 || le.Uint16(start[listAt+10:]) != segment {
		return 0, false
	}
	next := start[listAt-listEntry : listAt]
	return (int64(le.Uint16(start[listAt+8:])) + 1) * sectorSize, le.Uint16(next[8:]) == 0
}

// Fits says whether a core image has room, bytes.
func Fits(core []byte, room int64) error {
	if int64(len(core)) > room {
		return fmt.Errorf("placing the core image: it has %d bytes, and there is room for %d", len(core), room)
	}
	return nil
}
