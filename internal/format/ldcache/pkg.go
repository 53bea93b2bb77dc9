// Package ldcache writes /etc/ld.so.cache, in which the dynamic
// loader looks up libraries by SONAME: the "new" format of glibc 2.2 and later
// with the extension of 2.33 (sysdeps/generic/dl-cache.h).
//
// Layout, in the byte order of the machine (here: little endian): a header of
// 48 bytes, one entry of 24 bytes per library, the strings, the extension.
// Offsets of strings count from the start of the file. Entries are sorted as
// [compareNames] says, highest first: the loader searches by halves.
//
// Limits: 64-bit little-endian machines; the old formats are not written.
package ldcache

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

const (
	magic       = "glibc-ld.so.cache1.1"
	headerSize  = 48
	entrySize   = 24
	flagsLittle = 2 // in the header: the byte order is little endian

	extensionMagic = 0xeaa42174
	tagGenerator   = 0 // a text: which program wrote the file
	tagHwcaps      = 1 // offsets of the names of glibc-hwcaps folders, sorted
	sectionSize    = 16

	// hwcapExtension marks an entry's hwcap as an index in the list of names.
	hwcapExtension = 1 << 62

	generator = "wellcar"
)

// Flags of an entry: what sort of library it is.
const (
	FlagsAMD64   = 0x0303 // x86-64, glibc
	FlagsAArch64 = 0x0a03
)

// Entry is one library.
type Entry struct {
	Soname string
	Path   string // absolute
	Flags  uint32 // FlagsAMD64 ...
	Hwcap  string // the folder in glibc-hwcaps that it is from: "x86-64-v3"; or ""
}

// Write makes a cache. Of several libraries with one soname the first that
// fits the machine is used, so the order in entries counts there, and only
// there; those for a better processor always come first.
func Write(entries []Entry) []byte {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, compareEntries)
	hwcaps := hwcapNames(entries)
	w := writer{at: uint32(headerSize + entrySize*len(entries)), seen: map[string]uint32{}}
	var table []byte
	for _, e := range entries {
		path := w.add(e.Path)
		key := path + uint32(len(e.Path)-len(e.Soname)) // the path's tail
		if !strings.HasSuffix(e.Path, e.Soname) {
			key = w.add(e.Soname)
		}
		table = appendNumbers(table, e.Flags, key, path, 0)
		var hwcap uint64
		if i, ok := slices.BinarySearch(hwcaps, e.Hwcap); ok {
			hwcap = hwcapExtension | uint64(i)
		}
		table = binary.LittleEndian.AppendUint64(table, hwcap)
	}
	var names []byte
	for _, name := range hwcaps {
		names = appendNumbers(names, w.add(name))
	}
	out := append(make([]byte, 0, w.at), magic...)
	extension := (w.at + 3) &^ 3
	out = appendNumbers(out, uint32(len(entries)), uint32(len(w.strings)), flagsLittle, extension, 0, 0, 0)
	out = append(append(out, table...), w.strings...)
	out = append(out, make([]byte, int(extension)-len(out))...)
	return appendExtension(out, names)
}

func appendExtension(out, hwcaps []byte) []byte {
	sections := []struct {
		tag  uint32
		data []byte
	}{{tagGenerator, []byte(generator)}}
	if len(hwcaps) > 0 {
		sections = append(sections, struct {
			tag  uint32
			data []byte
		}{tagHwcaps, hwcaps})
	}
	at := uint32(len(out) + 8 + sectionSize*len(sections))
	out = appendNumbers(out, extensionMagic, uint32(len(sections)))
	var data []byte
	for _, s := range sections {
		data = append(data, make([]byte, -len(data)&3)...)
		out = appendNumbers(out, s.tag, 0, at+uint32(len(data)), uint32(len(s.data)))
		data = append(data, s.data...)
	}
	return append(out, data...)
}

// writer collects strings, each once.
type writer struct {
	strings []byte
	at      uint32 // where the next string will be in the file
	seen    map[string]uint32
}

func (w *writer) add(s string) uint32 {
	if at, ok := w.seen[s]; ok {
		return at
	}
	at := w.at
	w.seen[s] = at
	w.strings = append(append(w.strings, s...), 0)
	w.at += uint32(len(s)) + 1
	return at
}

func appendNumbers(out []byte, numbers ...uint32) []byte {
	for _, n := range numbers {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return out
}

func hwcapNames(entries []Entry) []string {
	var names []string
	for _, e := range entries {
		if e.Hwcap != "" && !slices.Contains(names, e.Hwcap) {
			names = append(names, e.Hwcap)
		}
	}
	slices.Sort(names)
	return names
}

func compareEntries(a, b Entry) int {
	if c := cmp.Or(compareNames(b.Soname, a.Soname), cmp.Compare(b.Flags, a.Flags)); c != 0 {
		return c
	}
	if (a.Hwcap == "") != (b.Hwcap == "") {
		return strings.Compare(b.Hwcap, a.Hwcap) // with a folder first
	}
	return strings.Compare(a.Hwcap, b.Hwcap)
}

// compareNames is the loader's order of library names: byte by byte as signed
// characters, but runs of digits as numbers, and a digit after anything else.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		switch da, db := isDigit(a[0]), isDigit(b[0]); {
		case da && db:
			var x, y int32
			x, a = number(a)
			y, b = number(b)
			if x != y {
				return cmp.Compare(x, y)
			}
		case da:
			return 1
		case db:
			return -1
		case a[0] != b[0]:
			return cmp.Compare(int8(a[0]), int8(b[0]))
		default:
			a, b = a[1:], b[1:]
		}
	}
	return cmp.Compare(len(a), len(b))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// number reads the leading digits, with the loader's 32 bits.
func number(s string) (int32, string) {
	var n int32
	for s != "" && isDigit(s[0]) {
		n = n*10 + int32(s[0]-'0')
		s = s[1:]
	}
	return n, s
}
