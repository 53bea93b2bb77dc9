// Package pe appends sections to a PE32+ image and reads them back: that is
// how a unified kernel image is made from systemd's EFI stub (UAPI.5, "Unified
// Kernel Image"; Microsoft, "PE Format").
//
//	image, err := pe.Build(stub, pe.UKI{OSRelease: ..., Kernel: ..., Initrd: ...}.Sections())
//
// Limits: 64-bit images only, no signing, no relocation of the section table:
// the stub must have been linked with room for more section headers (systemd's
// has room for about 25).
//
// The output depends on nothing but the input: the link time in the header
// and the checksum, which UEFI ignores, are zero.
package pe

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Section is one named part of an image.
type Section struct {
	Name string // at most 8 bytes, with the dot: ".linux"
	Data []byte
}

// UKI is what a unified kernel image is made of. Empty parts get no section.
type UKI struct {
	OSRelease    []byte // the text of os-release; systemd-boot shows it and sorts by it
	Cmdline      string
	Uname        string // kernel release, as uname -r shows it
	Splash       []byte // BMP
	PCRPublicKey []byte // PEM
	SBAT         []byte // replaces the stub's own
	Initrd       []byte
	Kernel       []byte // EFI-bootable: bzImage
}

// Sections lists the parts in the order that the specification recommends:
// what a boot loader reads first is first, and the kernel is last, because one
// that unpacks itself in place may write past its end.
func (u UKI) Sections() []Section {
	all := []Section{
		{".osrel", u.OSRelease}, {".cmdline", []byte(u.Cmdline)}, {".uname", []byte(u.Uname)}, {".splash", u.Splash},
		{".pcrpkey", u.PCRPublicKey}, {".sbat", u.SBAT}, {".initrd", u.Initrd}, {".linux", u.Kernel},
	}
	var used []Section
	for _, s := range all {
		if len(s.Data) > 0 {
			used = append(used, s)
		}
	}
	return used
}

var le = binary.LittleEndian

// Offsets in the COFF header, which follows the "PE\0\0" signature.
const (
	coffSections       = 2
	coffTime           = 4
	coffSymbols        = 8
	coffSymbolCount    = 12
	coffOptionalSize   = 16
	coffSize           = 20
	peSignatureAt      = 0x3c // in the DOS header
	sectionHeaderSize  = 40
	maxSections        = 96
	maxFileAlignment   = 1 << 16
	maxMemoryAlignment = 1 << 24
)

// Offsets in the optional header of PE32+.
const (
	optMagic            = 0x20b
	optInitialized      = 8
	optSectionAlignment = 32
	optFileAlignment    = 36
	optSizeOfImage      = 56
	optSizeOfHeaders    = 60
	optChecksum         = 64
	optCharacteristics  = 70
	optDirectories      = 112
	certificateEntry    = 4
	optMinimum          = optDirectories
	nxCompatible        = 0x100
)

// image is a PE file with its header taken apart. The slices are views into
// the file's first bytes.
type image struct {
	head     []byte // of the file, to the end of the section table
	coff     []byte
	opt      []byte
	tableAt  int // offset of the section table
	sections []header
}

// header is one entry of the section table.
type header struct {
	raw []byte // 40 bytes in the file
}

func (h header) name() string {
	name := h.raw[:8]
	for i, c := range name {
		if c == 0 {
			name = name[:i]
			break
		}
	}
	return string(name)
}

func (h header) virtualSize() uint32 { return le.Uint32(h.raw[8:]) }
func (h header) virtualAt() uint32   { return le.Uint32(h.raw[12:]) }
func (h header) rawSize() uint32     { return le.Uint32(h.raw[16:]) }
func (h header) rawAt() uint32       { return le.Uint32(h.raw[20:]) }

// size is the number of meaningful bytes in the file.
func (h header) size() uint32 { return min(h.virtualSize(), h.rawSize()) }

// signed says that there is a table of certificates.
func (m image) signed() bool {
	return len(m.opt) >= optDirectories+8*(certificateEntry+1) && le.Uint32(m.opt[optDirectories+8*certificateEntry+4:]) != 0
}

var errShort = errors.New("the file ends within its headers")

// parse takes the headers apart. file needs to hold no more than them.
func parse(file []byte) (image, error) {
	if len(file) < 64 || file[0] != 'M' || file[1] != 'Z' {
		return image{}, errors.New("not a PE image")
	}
	at := int64(le.Uint32(file[peSignatureAt:]))
	if at+4+coffSize+optMinimum > int64(len(file)) {
		return image{}, errShort
	}
	if string(file[at:at+4]) != "PE\x00\x00" {
		return image{}, errors.New("not a PE image")
	}
	m := image{coff: file[at+4:][:coffSize]}
	optSize := int(le.Uint16(m.coff[coffOptionalSize:]))
	m.tableAt = int(at) + 4 + coffSize + optSize
	count := int(le.Uint16(m.coff[coffSections:]))
	if count > maxSections {
		return image{}, fmt.Errorf("%d sections are too many", count)
	}
	end := m.tableAt + count*sectionHeaderSize
	if end > len(file) {
		return image{}, errShort
	}
	m.opt = file[int(at)+4+coffSize : m.tableAt]
	if optSize < optMinimum || le.Uint16(m.opt) != optMagic {
		return image{}, errors.New("not a 64-bit PE image (PE32+)")
	}
	m.head = file[:end]
	for i := range count {
		m.sections = append(m.sections, header{file[m.tableAt+i*sectionHeaderSize:][:sectionHeaderSize]})
	}
	return m, nil
}
