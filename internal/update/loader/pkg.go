//go:build linux

// Package loader makes the boot loaders of a disk those of the /usr that runs:
// GRUB, which a BIOS starts, and systemd-boot, which UEFI starts. A disk has
// both, whatever started it this time.
//
//	sector 0 ── boot code ──> core image ── BIOS-BOOT, in either half ──> grub.cfg on the ESP
//
// The new core image is written into the half of the BIOS boot partition that
// sector 0 does not name, and read back from the disk; then one write into
// sector 0 names it. So the core image that starts is whole whenever the power
// goes, and the old one stays where it was. grub.cfg follows, since it may need
// what only the new core image has; files are replaced by their names.
//
// A loader that is not ours is left alone: boot code that names another place,
// a file that is not systemd-boot or that somebody signed.
//
// Limits: disks with sectors of 512 bytes, as GRUB's boot code reads them.
package loader
