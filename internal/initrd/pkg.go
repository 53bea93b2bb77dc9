//go:build linux

// Package initrd is what the initrd's PID 1 decides and the order it does
// things in: load drivers, find the /usr partition that the kernel command
// line's root hash belongs to, open it under dm-verity, make the root file
// system ready, provision on a first boot, hand over to the system.
//
// Decisions (options.go, modules.go, usr.go, disk.go, root.go, firstboot.go,
// etc.go, failure.go) are functions of facts. Doing goes through a Machine, a
// struct of functions, so that a boot runs in a test without privileges. Every
// step has a deadline and a name; a step that fails or does not end leads to
// one sentence on all consoles and to a reboot, so that the other slot gets
// its turn (design.md section 6).
//
// Specification: surface.md 2.4, 3 and 4. Limits: no network, no LUKS, no
// RAID, no diskless boot.
package initrd
