package gpt

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// GUID is an identifier in the byte order in which it is written as text (RFC
// 9562). On disk the first three groups are little-endian: see OnDisk.
type GUID [16]byte

// ParseGUID reads "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" in either case.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(raw) != len(g) || len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return GUID{}, fmt.Errorf("reading the GUID %q: want 8-4-4-4-12 hexadecimal digits", s)
	}
	copy(g[:], raw)
	return g, nil
}

// MustGUID is ParseGUID for constants; it panics on anything else.
func MustGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return g
}

// RandomGUID is a version 4 UUID (RFC 9562, section 5.4) of the bytes that a
// reader gives, which must not end or fail, as crypto/rand.Reader never does.
func RandomGUID(random io.Reader) (g GUID) {
	if _, err := io.ReadFull(random, g[:]); err != nil {
		panic("BUG: making a GUID: " + err.Error())
	}
	g[6] = g[6]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}

// String writes the GUID in lower case.
func (g GUID) String() string {
	h := hex.EncodeToString(g[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// OnDisk is the GUID as it stands in a table and in a device path.
func (g GUID) OnDisk() [16]byte { return g.swapped() }

// swapped exchanges text order and disk order (UEFI appendix A).
func (g GUID) swapped() GUID {
	for _, group := range [][2]int{{0, 4}, {4, 6}, {6, 8}} {
		for i, j := group[0], group[1]-1; i < j; i, j = i+1, j-1 {
			g[i], g[j] = g[j], g[i]
		}
	}
	return g
}
