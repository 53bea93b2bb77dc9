package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

const (
	signature  = "EFI PART"
	revision   = 0x00010000
	headerSize = 92
)

var le = binary.LittleEndian

// Write validates the table and writes the backup, then the primary, then the
// protective record of sector 0, so that a power cut leaves one whole copy.
// Boot code and disk signature (the first 446 bytes of sector 0) are left as
// they are. Nothing is written to where the backup of a smaller table was.
func (t Table) Write(w io.WriterAt) error {
	if err := t.Validate(); err != nil {
		return err
	}
	entries := t.encodeEntries()
	last := t.Sectors - 1
	writes := []struct {
		what   string
		sector uint64
		skip   int64 // bytes into the sector
		data   []byte
	}{
		{"backup entries", last - t.entrySectors(), 0, entries},
		{"backup header", last, 0, t.encodeHeader(last, 1, last-t.entrySectors(), entries)},
		{"primary entries", 2, 0, entries},
		{"primary header", 1, 0, t.encodeHeader(1, last, 2, entries)},
		{"protective MBR", 0, mbrRecords, t.protectiveRecords()},
	}
	for _, x := range writes {
		if _, err := w.WriteAt(x.data, int64(x.sector)*int64(t.SectorSize)+x.skip); err != nil {
			return fmt.Errorf("writing the partition table: %s: %w", x.what, err)
		}
	}
	return nil
}

// encodeEntries is the array, padded to whole sectors.
func (t Table) encodeEntries() []byte {
	array := make([]byte, t.entrySectors()*uint64(t.SectorSize))
	for _, p := range t.Partitions {
		e := array[(p.Number-1)*entrySize:][:entrySize]
		kind, id := p.Type.swapped(), p.GUID.swapped()
		copy(e[0:], kind[:])
		copy(e[16:], id[:])
		le.PutUint64(e[32:], p.First)
		le.PutUint64(e[40:], p.Last)
		le.PutUint64(e[48:], p.Attributes)
		for i, unit := range utf16.Encode([]rune(p.Name)) {
			le.PutUint16(e[56+2*i:], unit)
		}
	}
	return array
}

// encodeHeader is the header sector at lba, whose twin is at other.
func (t Table) encodeHeader(lba, other, entriesAt uint64, entries []byte) []byte {
	h := make([]byte, t.SectorSize)
	copy(h, signature)
	le.PutUint32(h[8:], revision)
	le.PutUint32(h[12:], headerSize)
	le.PutUint64(h[24:], lba)
	le.PutUint64(h[32:], other)
	le.PutUint64(h[40:], t.FirstUsable())
	le.PutUint64(h[48:], t.LastUsable())
	id := t.DiskGUID.swapped()
	copy(h[56:], id[:])
	le.PutUint64(h[72:], entriesAt)
	le.PutUint32(h[80:], Entries)
	le.PutUint32(h[84:], entrySize)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(entries[:Entries*entrySize]))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:headerSize]))
	return h
}

const (
	mbrRecords     = 446  // offset of the four records in sector 0
	protectiveType = 0xee // one record of this type covers a GPT disk
)

// protectiveRecords is the end of sector 0: one record over the whole disk,
// three empty ones, the signature.
func (t Table) protectiveRecords() []byte {
	b := make([]byte, 512-mbrRecords)
	copy(b, []byte{0, 0, 2, 0, protectiveType, 0xff, 0xff, 0xff})
	le.PutUint32(b[8:], 1)
	le.PutUint32(b[12:], uint32(min(t.Sectors-1, 0xffffffff)))
	b[64], b[65] = 0x55, 0xaa
	return b
}
