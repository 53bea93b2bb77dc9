// Package bsdiff finds what two byte strings have in common, in the form that
// Colin Percival's bsdiff made known: a list of triples "add this many bytes
// of the old string to as many of the difference, then take this many new
// bytes, then move on in the old string".
//
// Regions that differ in a few bytes, as programs do whose addresses moved,
// become one long addition whose differences are mostly zero, which any
// compressor makes small.
//
// Source: C. Percival, "Naive differences of executable code", 2003. Limits:
// both strings are in memory, with eight bytes for each byte of the old one
// while its suffixes are sorted.
package bsdiff

// Triple is one step of making the new string from the old one.
type Triple struct {
	Add   int // bytes to add to those of the old string at the current place
	Extra int // bytes that follow and come from nowhere
	Seek  int // how far to move in the old string after the addition
}

// Patch is a new string in terms of an old one.
type Patch struct {
	Triples []Triple
	Diff    []byte // differences, the Add bytes of each triple in a row
	Extra   []byte // new bytes, the Extra bytes of each triple in a row
}
