// Package image is the engine that turns a recipe and its locked packages
// into a bootable image: packages are unpacked once into a cache, joined in
// memory into one file tree, finished by pure functions that take the place
// of maintainer scripts, checked, and written as a verified /usr image, a
// unified kernel image and a whole disk.
//
// Spec: design.md sections 2 and 5 (the way of the data, the build),
// image-and-delta.md (why EROFS without compression, why modules are
// unpacked). The disk starts by UEFI and by BIOS (bios.go). Limits: amd64 only;
// the tree is held in memory, some 200 bytes for each of a few ten thousand
// files, their content never is.
//
// The same inputs give the same bytes: nothing here reads the clock, the
// locale, the host's name or a map's order.
package image
