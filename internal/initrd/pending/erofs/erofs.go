// Package erofs reads the size of an EROFS image.
//
// TODO(integration): use internal/format/erofs.
package erofs

import (
	"encoding/binary"
	"errors"
)

// ErrNone says that there is no EROFS.
var ErrNone = errors.New("no EROFS superblock")

// DataSize returns the size in bytes of the image that starts with b (4096 bytes).
func DataSize(b []byte) (int64, error) {
	if len(b) < 1024+128 || binary.LittleEndian.Uint32(b[1024:]) != 0xe0f5e1e2 {
		return 0, ErrNone
	}
	return int64(binary.LittleEndian.Uint32(b[1024+36:])) << b[1024+12], nil
}
