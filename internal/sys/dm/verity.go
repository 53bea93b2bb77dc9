//go:build linux

package dm

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Verity describes data and hash tree on one device, as veritysetup's format
// 1 lays them out: data, superblock, tree.
type Verity struct {
	Device     string // node, or "major:minor"
	BlockSize  int64  // of data and tree, bytes
	DataBlocks int64
	HashStart  int64 // first block of the tree, behind the superblock
	Algorithm  string
	RootHash   []byte
	Salt       []byte
	UUID       [16]byte // of the superblock
	// Panic makes the kernel panic on a block whose hash is wrong; without it
	// the read fails.
	Panic bool
}

// Target is the table line.
func (v Verity) Target() Target {
	salt := "-"
	if len(v.Salt) > 0 {
		salt = hex.EncodeToString(v.Salt)
	}
	params := fmt.Sprintf("1 %s %s %d %d %d %d %s %s %s", v.Device, v.Device, v.BlockSize, v.BlockSize,
		v.DataBlocks, v.HashStart, v.Algorithm, hex.EncodeToString(v.RootHash), salt)
	if v.Panic {
		params += " 1 panic_on_corruption"
	}
	return Target{Type: "verity", Size: v.DataBlocks * v.BlockSize, Params: params}
}

// DeviceUUID is the device-mapper uuid under which cryptsetup's tools know
// the device as theirs.
func (v Verity) DeviceUUID(name string) string {
	return "CRYPT-VERITY-" + strings.ToLower(hex.EncodeToString(v.UUID[:])) + "-" + name
}
