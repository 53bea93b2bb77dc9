// Package kmodinfotest makes small kernel modules for tests.
package kmodinfotest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

const symbolSize = 24 // bytes, of an ELF64 symbol

// Module returns an ELF file with the sections that describe a module and no
// code. modinfo holds "key=value" strings.
func Module(modinfo, undefined, exports []string) []byte {
	var strtab, symtab bytes.Buffer
	strtab.WriteByte(0)
	symtab.Write(make([]byte, symbolSize))
	symbol := func(name string, section uint16) {
		write(&symtab, elf.Sym64{Name: uint32(strtab.Len()), Shndx: section})
		strtab.WriteString(name + "\x00")
	}
	for _, name := range undefined {
		symbol(name, 0)
	}
	for _, name := range exports {
		symbol(name, 1)
		symbol("__ksymtab_"+name, 1)
		symbol("__crc_"+name, 1)
	}
	info := strings.Join(modinfo, "\x00") + "\x00"
	return file([]byte(info), symtab.Bytes(), strtab.Bytes())
}

func file(modinfo, symtab, strtab []byte) []byte {
	const names = "\x00.modinfo\x00.symtab\x00.strtab\x00.shstrtab\x00"
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS)},
		{Name: 10, Type: uint32(elf.SHT_SYMTAB), Link: 3, Entsize: symbolSize},
		{Name: 18, Type: uint32(elf.SHT_STRTAB)},
		{Name: 26, Type: uint32(elf.SHT_STRTAB)},
	}
	const headerSize = 64
	var body bytes.Buffer
	for i, b := range [][]byte{modinfo, symtab, strtab, []byte(names)} {
		body.Write(make([]byte, -body.Len()&7))
		sections[i+1].Off, sections[i+1].Size = uint64(headerSize+body.Len()), uint64(len(b))
		body.Write(b)
	}
	body.Write(make([]byte, -body.Len()&7))
	h := elf.Header64{Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: headerSize,
		Shoff: uint64(headerSize + body.Len()), Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: 4}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01") // 64 bits, little endian, version 1
	var out bytes.Buffer
	write(&out, h)
	out.Write(body.Bytes())
	write(&out, sections)
	return out.Bytes()
}

func write(b *bytes.Buffer, v any) {
	if err := binary.Write(b, binary.LittleEndian, v); err != nil {
		panic("BUG: " + err.Error())
	}
}
