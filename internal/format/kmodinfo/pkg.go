// Package kmodinfo reads what a Linux kernel module says about itself: the
// key=value strings of its .modinfo section and the symbols that it exports
// and needs (include/linux/moduleinfo and export.h of the kernel; the same
// facts that modinfo and depmod use).
//
// Limits: an uncompressed ELF file of 64 bits, little endian; the sections read
// are at most 64 MiB each. A signature after the ELF file does no harm.
package kmodinfo

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const maxSection = 64 << 20 // bytes

// Info is what a module declares. Lists are in the order of the file.
type Info struct {
	Name      string   // as the kernel lists it: with "_" only
	Depends   []string // names of the modules it needs directly
	Aliases   []string
	Softdeps  []string // "pre: a b post: c"
	Weakdeps  []string
	Firmware  []string // file names below the firmware folder
	Params    []Param
	License   string
	Vermagic  string
	Exports   []string // symbols that it offers to other modules
	Undefined []string // symbols that it needs from the kernel or others
}

// Param is a parameter of a module.
type Param struct {
	Name string
	Type string // "int", "charp", "array of int"; "" if the module does not say
	Desc string
}

// Read reads a module. It does not keep r.
func Read(r io.ReaderAt) (Info, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return Info{}, fmt.Errorf("reading a kernel module: %w", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB || f.Type != elf.ET_REL {
		return Info{}, fmt.Errorf("reading a kernel module: it is not a relocatable 64-bit little-endian ELF file")
	}
	var info Info
	text, err := sectionData(f, ".modinfo")
	if err == nil {
		info.parse(text)
		err = info.readSymbols(f)
	}
	if err != nil {
		return Info{}, fmt.Errorf("reading the kernel module %s: %w", info.Name, err)
	}
	return info, nil
}

func sectionData(f *elf.File, name string) ([]byte, error) {
	s := f.Section(name)
	if s == nil {
		return nil, fmt.Errorf("it has no section %s", name)
	}
	return readSection(s)
}

func readSection(s *elf.Section) ([]byte, error) {
	if s.Size > maxSection || s.Type == elf.SHT_NOBITS {
		return nil, fmt.Errorf("the section %s cannot have %d bytes", s.Name, s.Size)
	}
	data, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("reading the section %s: %w", s.Name, err)
	}
	return data, nil
}

// parse takes the strings of .modinfo, each ended by a zero byte.
func (i *Info) parse(text []byte) {
	for entry := range bytes.SplitSeq(text, []byte{0}) {
		key, value, ok := strings.Cut(string(entry), "=")
		if !ok {
			continue
		}
		switch key {
		case "name":
			i.Name = value
		case "depends":
			if value != "" {
				i.Depends = strings.Split(value, ",")
			}
		case "alias":
			i.Aliases = append(i.Aliases, value)
		case "softdep":
			i.Softdeps = append(i.Softdeps, value)
		case "weakdep":
			i.Weakdeps = append(i.Weakdeps, value)
		case "firmware":
			i.Firmware = append(i.Firmware, value)
		case "license":
			i.License = value
		case "vermagic":
			i.Vermagic = value
		case "parm":
			name, desc, _ := strings.Cut(value, ":")
			i.param(name).Desc = desc
		case "parmtype":
			name, kind, _ := strings.Cut(value, ":")
			i.param(name).Type = kind
		}
	}
}

func (i *Info) param(name string) *Param {
	for k := range i.Params {
		if i.Params[k].Name == name {
			return &i.Params[k]
		}
	}
	i.Params = append(i.Params, Param{Name: name})
	return &i.Params[len(i.Params)-1]
}

// A symbol of a 64-bit ELF file (System V ABI, "Symbol Table"): name at byte
// 0, section index at byte 6.
const symbolSize = 24

const exportPrefix = "__ksymtab_"

// readSymbols collects the exported and the undefined symbols. It goes over
// the raw table because a module has thousands of symbols and few matter.
func (i *Info) readSymbols(f *elf.File) error {
	table := f.SectionByType(elf.SHT_SYMTAB)
	if table == nil || int(table.Link) >= len(f.Sections) {
		return nil // stripped: it exports nothing by name
	}
	symbols, err := readSection(table)
	if err != nil {
		return err
	}
	names, err := readSection(f.Sections[table.Link])
	if err != nil {
		return err
	}
	for at := symbolSize; at+symbolSize <= len(symbols); at += symbolSize {
		name := cString(names, binary.LittleEndian.Uint32(symbols[at:]))
		section := binary.LittleEndian.Uint16(symbols[at+6:])
		if section == uint16(elf.SHN_UNDEF) {
			if len(name) > 0 {
				i.Undefined = append(i.Undefined, string(name))
			}
		} else if symbol, ok := bytes.CutPrefix(name, []byte(exportPrefix)); ok {
			i.Exports = append(i.Exports, string(symbol))
		}
	}
	return nil
}

func cString(table []byte, at uint32) []byte {
	if uint64(at) >= uint64(len(table)) {
		return nil
	}
	name, _, _ := bytes.Cut(table[at:], []byte{0})
	return name
}
