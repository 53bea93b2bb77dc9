// Package petest makes PE images for tests (Microsoft, "PE Format").
//
//	file, err := pe.Build(petest.Stub(), []pe.Section{{Name: ".cmdline", Data: []byte("quiet")}})
//
// Limits: nothing starts them.
package petest

import "encoding/binary"

// size is that of the headers, bytes; it has room for about 90 sections.
const size = 4096

// Stub is a PE32+ image without sections and with room for some. The caller
// owns it.
func Stub() []byte {
	b, le := make([]byte, size), binary.LittleEndian
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], 64) // where the signature is
	copy(b[64:], "PE\x00\x00")
	le.PutUint16(b[68:], 0x8664) // machine: x86-64
	le.PutUint16(b[84:], 240)    // size of the optional header
	opt := b[88:]
	le.PutUint16(opt, 0x20b)     // PE32+
	le.PutUint32(opt[32:], 4096) // alignment in memory
	le.PutUint32(opt[36:], 512)  // alignment in the file
	le.PutUint32(opt[56:], size) // of the image in memory
	le.PutUint32(opt[60:], size) // of the headers
	return b
}
