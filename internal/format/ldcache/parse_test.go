package ldcache

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// Parse reads a cache, in the file's order.
func Parse(data []byte) ([]Entry, error) {
	if len(data) < headerSize || !bytes.HasPrefix(data, []byte(magic)) {
		return nil, fmt.Errorf("reading a library cache: it does not start with %q", magic)
	}
	count := uint64(binary.LittleEndian.Uint32(data[len(magic):]))
	if data[28]&3 != flagsLittle || count > uint64(len(data)-headerSize)/entrySize {
		return nil, fmt.Errorf("reading a library cache: it is not little endian, or shorter than its %d entries", count)
	}
	hwcaps, err := parseHwcaps(data)
	if err != nil {
		return nil, fmt.Errorf("reading the extension of a library cache: %w", err)
	}
	entries := make([]Entry, count)
	for i := range entries {
		raw := data[headerSize+i*entrySize:]
		e := &entries[i]
		e.Flags = binary.LittleEndian.Uint32(raw)
		e.Soname = cString(data, binary.LittleEndian.Uint32(raw[4:]))
		e.Path = cString(data, binary.LittleEndian.Uint32(raw[8:]))
		hwcap := binary.LittleEndian.Uint64(raw[16:])
		if n := uint64(uint32(hwcap)); hwcap&hwcapExtension != 0 && n < uint64(len(hwcaps)) {
			e.Hwcap = hwcaps[n]
		}
	}
	return entries, nil
}

func parseHwcaps(data []byte) ([]string, error) {
	at := uint64(binary.LittleEndian.Uint32(data[32:]))
	if at == 0 {
		return nil, nil
	}
	numbers := func(at, n uint64) ([]uint32, error) {
		if at > uint64(len(data)) || n > (uint64(len(data))-at)/4 {
			return nil, fmt.Errorf("%d numbers at byte %d are outside of the file", n, at)
		}
		out := make([]uint32, n)
		for i := range out {
			out[i] = binary.LittleEndian.Uint32(data[at+uint64(4*i):])
		}
		return out, nil
	}
	head, err := numbers(at, 2)
	if err != nil || head[0] != extensionMagic {
		return nil, cmp.Or(err, fmt.Errorf("its magic is wrong"))
	}
	table, err := numbers(at+8, 4*uint64(head[1]))
	if err != nil {
		return nil, err
	}
	for s := range slices.Chunk(table, 4) {
		if s[0] != tagHwcaps {
			continue
		}
		offsets, err := numbers(uint64(s[2]), uint64(s[3]/4))
		var names []string
		for _, o := range offsets {
			names = append(names, cString(data, o))
		}
		return names, err
	}
	return nil, nil
}

func cString(data []byte, at uint32) string {
	if uint64(at) >= uint64(len(data)) {
		return ""
	}
	s, _, _ := bytes.Cut(data[at:], []byte{0})
	return string(s)
}
