package fat

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

const (
	maxNameUnits = 255 // UTF-16 code units of a long name
	unitsPerLong = 13  // of them in one long-name entry
	shortSpecial = "$%'-_@~`!(){}^#&"
)

// checkName refuses what a long name cannot hold.
func checkName(name string) error {
	if n := len(utf16.Encode([]rune(name))); n == 0 || n > maxNameUnits {
		return fmt.Errorf("the name has %d characters, not 1 to %d", n, maxNameUnits)
	}
	if strings.ContainsAny(name, `"*/:<>?\|`) || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd }) {
		return errors.New("the name has a character that FAT does not allow")
	}
	if last := name[len(name)-1]; last == '.' || last == ' ' || name[0] == ' ' {
		return errors.New("the name starts with a space or ends in a space or a dot")
	}
	return nil
}

func shortByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(shortSpecial, c) >= 0
}

// asShort returns the 11 bytes of a name that is a short name as it stands:
// upper case, at most 8 and 3 characters.
func asShort(name string) (short [11]byte, ok bool) {
	base, ext, dotted := strings.Cut(name, ".")
	if base == "" || len(base) > 8 || len(ext) > 3 || dotted && ext == "" {
		return short, false
	}
	for i := range len(base) + len(ext) {
		if !shortByte((base + ext)[i]) {
			return short, false
		}
	}
	return pack(base, ext), true
}

func pack(base, ext string) (short [11]byte) {
	copy(short[:], "           ")
	copy(short[:8], base)
	copy(short[8:], ext)
	return short
}

// alias makes the short name of a long one: the characters that a short name
// may have, in upper case, and "~" with the lowest number that is not taken.
func alias(name string, taken map[[11]byte]bool) [11]byte {
	base, ext := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		base, ext = name[:dot], squeeze(name[dot+1:], 3)
	}
	base = squeeze(base, 8)
	for n := 1; ; n++ {
		tail := fmt.Sprintf("~%d", n)
		short := pack(base[:min(len(base), 8-len(tail))]+tail, ext)
		if !taken[short] {
			return short
		}
	}
}

// squeeze keeps at most n characters: spaces and dots go, what a short name
// cannot hold becomes "_".
func squeeze(s string, n int) string {
	var out []byte
	for _, r := range strings.ToUpper(s) {
		switch {
		case r == ' ' || r == '.':
			continue
		case r < 0x80 && shortByte(byte(r)):
			out = append(out, byte(r))
		default:
			out = append(out, '_')
		}
		if len(out) == n {
			break
		}
	}
	return string(out)
}

// checksum ties long-name entries to their short entry.
func checksum(short []byte) (sum byte) {
	for _, c := range short[:11] {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// longEntries are the entries that come before the short one: the last part
// of the name first.
func longEntries(name string, short [11]byte) []byte {
	units := utf16.Encode([]rune(name))
	count := (len(units) + unitsPerLong - 1) / unitsPerLong
	if len(units) < count*unitsPerLong {
		units = append(units, 0)
	}
	for len(units) < count*unitsPerLong {
		units = append(units, 0xffff)
	}
	var out []byte
	for seq := count; seq >= 1; seq-- {
		e := make([]byte, entrySize)
		e[0] = byte(seq)
		if seq == count {
			e[0] |= 0x40
		}
		e[11], e[13] = attrLong, checksum(short[:])
		for i, at := range longOffsets {
			le.PutUint16(e[at:], units[(seq-1)*unitsPerLong+i])
		}
		out = append(out, e...)
	}
	return out
}

// longOffsets are the places of the 13 code units in a long-name entry.
var longOffsets = [unitsPerLong]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}
