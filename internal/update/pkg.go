//go:build linux

// Package update keeps a machine up to date: it asks an Omaha server, proves
// and installs what it offers into the slot that does not run, and decides
// after the reboot whether the new version may stay (design.md section 8,
// surface.md section 8, updates.md sections 1 and 2).
//
// The parts: Settings (update.conf), Prefs (what has to survive a reboot),
// Boot (slots and kernels of the machine), Client (protocol and timing),
// Installer (from a verified manifest to a slot that starts next), Service
// (the states that D-Bus shows). Decisions that need no machine are functions
// of values: package slot, timing.go, offer.go.
//
// The boot loaders are package loader. Limits: one disk with both slots.
package update
