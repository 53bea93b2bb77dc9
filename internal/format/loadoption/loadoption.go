// Package loadoption reads and writes boot entries of UEFI firmware, the
// values of its variables Boot#### (UEFI Specification 2.10, sections 3.1.3
// and 10.3).
//
// Limits: it writes entries for a file on a GPT partition only.
package loadoption

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// Active is the attribute of an entry that may be started.
const Active = 1

// Option is an entry for a file on a partition.
type Option struct {
	Description string
	Partition   uint32   // number
	Start, Size uint64   // of the partition, logical blocks
	GUID        [16]byte // of the partition, as it is in the table
	File        string   // on the partition, with backslashes: \EFI\BOOT\BOOTX64.EFI
}

// Types of the nodes of a device path.
const (
	typeMedia, hardDrive, filePath = 4, 1, 4
	typeEnd, endAll                = 0x7f, 0xff
	formatGPT, signatureGUID       = 2, 2
)

// Encode writes an entry.
func (o Option) Encode() []byte {
	le := binary.LittleEndian
	var drive []byte
	drive = le.AppendUint32(drive, o.Partition)
	drive = le.AppendUint64(drive, o.Start)
	drive = le.AppendUint64(drive, o.Size)
	drive = append(append(drive, o.GUID[:]...), formatGPT, signatureGUID)
	path := node(typeMedia, hardDrive, drive)
	path = append(path, node(typeMedia, filePath, text(o.File))...)
	path = append(path, node(typeEnd, endAll, nil)...)
	out := le.AppendUint32(nil, Active)
	out = le.AppendUint16(out, uint16(len(path)))
	return append(append(out, text(o.Description)...), path...)
}

func node(kind, sub byte, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint16([]byte{kind, sub}, uint16(4+len(data))), data...)
}

// text is UTF-16 with a zero at its end.
func text(s string) (out []byte) {
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// Description reads the text that a person sees of any entry.
func Description(b []byte) (string, error) {
	var units []uint16
	for at := 6; at+1 < len(b); at += 2 {
		u := binary.LittleEndian.Uint16(b[at:])
		if u == 0 {
			return string(utf16.Decode(units)), nil
		}
		units = append(units, u)
	}
	return "", errors.New("reading a boot entry: it is cut off")
}
