// Package probe recognises file systems.
//
// TODO(integration): use internal/format/probe.
package probe

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"strings"
)

// Info says what is on a device. Type is empty when nothing is recognised.
type Info struct{ Type, Label, UUID string }

// Identify reads the superblocks on a device of size bytes.
func Identify(r io.ReaderAt, size int64) (Info, error) {
	b := make([]byte, 4096)
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return Info{}, err
	}
	switch {
	case binary.LittleEndian.Uint16(b[1024+56:]) == 0xef53:
		return Info{"ext4", text(b[1024+120:][:16]), uuid(b[1024+104:][:16])}, nil
	case string(b[:4]) == "XFSB":
		return Info{"xfs", text(b[108:][:12]), uuid(b[32:48])}, nil
	case string(b[:6]) == "LUKS\xba\xbe":
		return Info{"crypto_LUKS", text(b[24:][:48]), text(b[168:][:40])}, nil
	case binary.LittleEndian.Uint32(b[1024:]) == 0xe0f5e1e2:
		return Info{"erofs", text(b[1024+64:][:16]), uuid(b[1024+48:][:16])}, nil
	case string(b[82:87]) == "FAT32":
		return Info{"vfat", strings.TrimRight(string(b[71:82]), " "), ""}, nil
	case string(b[54:58]) == "FAT1":
		return Info{"vfat", strings.TrimRight(string(b[43:54]), " "), ""}, nil
	}
	return Info{}, nil
}

func text(b []byte) string { s, _, _ := strings.Cut(string(b), "\x00"); return s }

func uuid(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
