// Package verity writes and checks dm-verity hash trees in the on-disk format
// of veritysetup: superblock version 1, hash type 1 (salt before data),
// SHA-256, data and hash blocks of 4096 bytes.
//
// The tree follows its data on the same device:
//
//	[0, D)        data
//	[D, D+4096)   superblock, 512 bytes and zeros
//	[D+4096, ...) hash blocks, the top level first
//
// Source: the Linux kernel's admin guide, "dm-verity", and the on-disk format
// page of the cryptsetup project. Limits: no other hash or block size, no
// forward error correction, no root hash signature; the leaf level is held in
// memory (8 MiB per GiB of data).
package verity

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// BlockSize is the size of data and hash blocks, bytes.
const BlockSize = 4096

const (
	digestSize     = 32
	digestsPerHash = BlockSize / digestSize // digests in one hash block
	superblockSize = 512
	maxSaltSize    = 256
	maxDataBlocks  = 1 << 51 // so that no size overflows int64
	signature      = "verity\x00\x00"
	algorithm      = "sha256"
)

// ErrNoSuperblock says that the bytes are not a verity superblock at all, as
// against a damaged or unsupported one.
var ErrNoSuperblock = errors.New("no verity superblock")

// Superblock describes a hash tree. It is not covered by the root hash: all
// of it is checked against what the reader expects, or by the tree itself.
type Superblock struct {
	UUID       [16]byte
	DataBlocks uint64
	Salt       []byte // at most 256 bytes
}

// ReadSuperblock decodes the superblock at the start of b (512 bytes or more).
func ReadSuperblock(b []byte) (Superblock, error) {
	var s Superblock
	if len(b) < superblockSize || string(b[:8]) != signature {
		return s, ErrNoSuperblock
	}
	le := binary.LittleEndian
	name, _, _ := strings.Cut(string(b[32:64]), "\x00")
	version, hashType := le.Uint32(b[8:]), le.Uint32(b[12:])
	dataSize, hashSize := le.Uint32(b[64:]), le.Uint32(b[68:])
	saltSize := int(le.Uint16(b[80:]))
	s.DataBlocks = le.Uint64(b[72:])
	switch {
	case version != 1 || hashType != 1:
		return s, fmt.Errorf("verity superblock: version %d with hash type %d is not supported, only 1 with 1", version, hashType)
	case name != algorithm:
		return s, fmt.Errorf("verity superblock: hash %q is not supported, only %s", name, algorithm)
	case dataSize != BlockSize || hashSize != BlockSize:
		return s, fmt.Errorf("verity superblock: block sizes %d and %d are not supported, only %d", dataSize, hashSize, BlockSize)
	case s.DataBlocks == 0 || s.DataBlocks > maxDataBlocks:
		return s, fmt.Errorf("verity superblock: impossible count of %d data blocks", s.DataBlocks)
	case saltSize > maxSaltSize:
		return s, fmt.Errorf("verity superblock: salt of %d bytes is longer than %d", saltSize, maxSaltSize)
	}
	copy(s.UUID[:], b[16:32])
	s.Salt = append([]byte(nil), b[88:88+saltSize]...)
	return s, nil
}

// encode returns the superblock as one block of 4096 bytes.
func (s Superblock) encode() []byte {
	b := make([]byte, BlockSize)
	le := binary.LittleEndian
	copy(b, signature)
	le.PutUint32(b[8:], 1)
	le.PutUint32(b[12:], 1)
	copy(b[16:32], s.UUID[:])
	copy(b[32:64], algorithm)
	le.PutUint32(b[64:], BlockSize)
	le.PutUint32(b[68:], BlockSize)
	le.PutUint64(b[72:], s.DataBlocks)
	le.PutUint16(b[80:], uint16(len(s.Salt)))
	copy(b[88:88+maxSaltSize], s.Salt)
	return b
}

// DataSize is the size of the protected data, bytes.
func (s Superblock) DataSize() int64 { return int64(s.DataBlocks) * BlockSize }

// Table returns the parameters of the kernel's verity target for a device
// that holds the data at its start and the superblock and tree right after.
// The target starts at sector 0 and is s.DataSize()/512 sectors long. Options
// are the target's optional words, such as "panic_on_corruption".
func Table(device string, s Superblock, root [32]byte, options ...string) string {
	salt := "-"
	if len(s.Salt) > 0 {
		salt = hex.EncodeToString(s.Salt)
	}
	table := fmt.Sprintf("1 %s %s %d %d %d %d %s %x %s", device, device,
		BlockSize, BlockSize, s.DataBlocks, s.DataBlocks+1, algorithm, root, salt)
	if len(options) > 0 {
		table += fmt.Sprintf(" %d %s", len(options), strings.Join(options, " "))
	}
	return table
}

// TreeSize is the size of the superblock and the tree for that much data,
// bytes. dataSize is a positive multiple of BlockSize.
func TreeSize(dataSize int64) int64 {
	size := int64(BlockSize)
	for _, blocks := range levelBlocks(dataSize / BlockSize) {
		size += blocks * BlockSize
	}
	return size
}

// levelBlocks counts the hash blocks of each level, leaves first. A single
// data block has no tree: its digest is the root hash.
func levelBlocks(dataBlocks int64) []int64 {
	var levels []int64
	for n := dataBlocks; n > 1; {
		n = (n + digestsPerHash - 1) / digestsPerHash
		levels = append(levels, n)
	}
	return levels
}
