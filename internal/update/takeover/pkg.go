//go:build linux

// Package takeover turns a machine with Flatcar or CoreOS Container Linux into
// one of ours: the part that runs on the old system, right after its
// update_engine wrote the payload into the slot that does not run, and the
// part that runs on the new one.
//
// The payload is our image of /usr, with some blocks displaced by a file system
// of type ext2 that the old system mounts to run the file postinst in it
// (package release, Takeover). The kernel lies beside that of the old system.
//
//	old system   Convert: check all; put the displaced blocks back and verify the
//	             root hash; put our loader and kernel on the EFI system partition
//	             beside the old loader; make the firmware start ours once
//	firmware     starts ours once. Whatever happens then, the start after it is
//	             the old loader's, which knows nothing of ours
//	new system   Keep, when it has proved itself: the old loader is set aside and
//	             ours takes its place, with an entry for the old one
//	new system   Retire, when the next update needs the slot: what started the old
//	             system goes
//
// So the old system starts by itself until the new one is good, and by hand
// until it is overwritten. Each step may be cut at any point and done again.
//
// Where a BIOS starts the machine, the firmware has no variables. There GRUB's
// core image goes into the second half of the BIOS boot partition, behind that
// of the old system, and the last write of Convert makes sector 0 start it. Our
// grub.cfg counts the one start that the new system has, and then starts the
// old one by its own boot code, of which a file has a copy. Keep has only to
// note that this stays so.
//
// Limits: UEFI without Secure Boot, or BIOS; amd64. Nothing on ROOT is changed.
package takeover

import "wellcar.dev/internal/layout"

// Places on the EFI system partition, below its root.
const (
	dir       = "EFI/wellcar"
	ourLoader = dir + "/systemd-bootx64.efi"
	before    = dir + "/before" // the old loader, set aside
	stateFile = layout.TakeoverState
	bootDir   = "EFI/boot" // FAT does not tell cases apart
	bootFile  = "bootx64.efi"
	entryFile = "loader/entries/" + OldEntry
	confFile  = "loader/loader.conf"
)

// Where a BIOS starts the machine, beside grub.cfg, which knows both.
const (
	beforeSector = "wellcar/before.sector" // sector 0 as it was
	beforeFirst  = "wellcar/before.first"  // there: the old system comes first
)

// OldEntry is the name of the boot entry of the old system.
const OldEntry = "flatcar.conf"

// oldEntry starts the loader that was there before.
const oldEntry = `# The system that was here before. It goes with the next update.
title Flatcar Container Linux
efi /EFI/wellcar/before/bootx64.efi
`

// entryName is what firmware shows of our start.
const entryName = "Wellcar Container Linux"

// oldKernels are the files of the old system beside its loader.
var oldKernels = []string{"flatcar/vmlinuz-a", "flatcar/vmlinuz-b", "coreos/vmlinuz-a", "coreos/vmlinuz-b"}

// margin stays free on the EFI system partition, bytes.
const margin = 1 << 20
