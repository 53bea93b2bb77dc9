package probe

import (
	"encoding/hex"
	"strings"
)

// udf reads the volume recognition sequence of ECMA-167, which may follow
// that of ISO 9660, and what the volume's descriptors say of its name.
func udf(d *device) (Info, bool) {
	const descriptors, most = isoDescriptors / isoSector, 64
	for i := range int64(most) {
		v := d.read((descriptors+i)*isoSector, 6)
		if v == nil || v[0] != 0 && string(v[1:6]) != "CD001" {
			return Info{}, false
		}
		switch string(v[1:6]) {
		case "NSR02", "NSR03":
			label, id := udfNames(d)
			return Info{Type: "udf", Label: label, UUID: id, Usage: Filesystem}, true
		case "CD001", "BEA01", "BOOT2", "CDW02":
		default:
			return Info{}, false
		}
	}
	return Info{}, false
}

// Tags of descriptors (ECMA-167, 3/7.2.1), and where the anchor is.
const (
	udfPrimaryVolume = 1
	udfAnchor        = 2
	udfLogicalVolume = 6
	udfAnchorSector  = 256
)

// udfNames are the identifier of the logical volume (ECMA-167, 3/10.6.4), and
// the UUID in that of the set of volumes (3/10.1.11). The first descriptor of
// each kind counts.
func udfNames(d *device) (label, id string) {
	anchor := d.read(udfAnchorSector*isoSector, 24)
	if anchor == nil || le.Uint16(anchor) != udfAnchor {
		return "", ""
	}
	sectors, at := int64(le.Uint32(anchor[16:]))/isoSector, int64(le.Uint32(anchor[20:]))
	for i := range min(sectors, 64) {
		v := d.read((at+i)*isoSector, 212)
		switch {
		case v == nil:
		case le.Uint16(v) == udfLogicalVolume && label == "":
			label = dstring(v[84:212])
		case le.Uint16(v) == udfPrimaryVolume && id == "":
			id = udfUUID(dstring(v[72:200]))
		}
	}
	return label, id
}

// udfUUID is 16 digits made of the first bytes of a volume set identifier,
// which begins with 16 hexadecimal digits (UDF 2.60, 2.2.2.5). Of those that
// do not, the bytes count: the last 4 of 12 if 8 digits come first, or else
// the first 8. An identifier shorter than 8 bytes is not unique enough.
func udfUUID(set string) string {
	if len(set) < 8 {
		return ""
	}
	var b [16]byte
	copy(b[:], set)
	switch digits := len(b) - len(strings.TrimLeft(string(b[:]), "0123456789abcdefABCDEF")); {
	case digits == 16:
		return strings.ToLower(string(b[:]))
	case digits >= 8:
		return strings.ToLower(string(b[:8])) + hex.EncodeToString(b[8:12])
	}
	return hex.EncodeToString(b[:8])
}

// dstring reads a string of OSTA compressed Unicode in a field of fixed size,
// whose last byte is the length. Its first byte tells how many bits a
// character has: 8, which are those of Latin-1, or 16.
func dstring(b []byte) string {
	n := int(b[len(b)-1])
	if n < 1 || n >= len(b) {
		return ""
	}
	switch b[0] {
	case 8:
		return latin1(b[1:n])
	case 16:
		return utf16BE(b[1:n])
	}
	return ""
}

// latin1 ends at the first NUL, as text does.
func latin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		if c == 0 {
			break
		}
		s.WriteRune(rune(c))
	}
	return s.String()
}
