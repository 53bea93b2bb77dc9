// Package erofs writes EROFS images from a file tree and reads them back.
//
// Images are uncompressed with blocks of 4096 bytes and mount on Linux 5.4 and
// later. Equal trees and options give equal bytes. The order on disk is:
//
//	superblock    at byte 1024
//	inodes        in path order, each with its xattrs and its short content
//	xattrs        those that two inodes or more have, once
//	directories   whole blocks of large ones
//	file data     in path order, one run of blocks per distinct content
//
// An unchanged file thus keeps its bytes together in every later image, which
// is what block deltas need, and all metadata is one range at the front.
//
// Source: https://erofs.docs.kernel.org/en/latest/core_ondisk.html and the
// kernel's fs/erofs/erofs_fs.h. Limits: no compression, chunks, extra devices,
// sockets or per-file times; the reader refuses what the writer does not
// write, save that it also takes inline tails of any length.
package erofs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// BlockSize is the size of a block, bytes.
const BlockSize = 4096

// Where the superblock is in an image and its size, bytes.
const (
	SuperblockOffset = 1024
	SuperblockSize   = 128
)

const (
	magic         = 0xe0f5e1e2
	blockSizeBits = 12
	slotSize      = 32 // of an inode number
	firstNID      = (SuperblockOffset + SuperblockSize) / slotSize
	maxLabel      = 16

	// Compatible features.
	hasChecksum = 1
	hasMtime    = 2
)

// ErrNoSuperblock says that the bytes are not an EROFS superblock at all.
var ErrNoSuperblock = errors.New("no EROFS superblock")

// Superblock holds what an image says about itself.
type Superblock struct {
	UUID      [16]byte
	Label     string // at most 16 bytes
	BuildTime uint64 // modification time of every inode, Unix seconds
	Inodes    uint64
	Blocks    uint32 // of BlockSize, the whole image

	rootNID     uint16
	metaBlock   uint32 // inode numbers count from here
	sharedBlock uint32 // shared xattr numbers count from here
}

// Size is the size of the image, bytes.
func (s Superblock) Size() int64 { return int64(s.Blocks) * BlockSize }

// DataSize returns the size in bytes of the image whose superblock, read at
// SuperblockOffset, is sb (SuperblockSize bytes or more). The checksum, which
// covers the whole first block, is not looked at.
func DataSize(sb []byte) (int64, error) {
	s, err := parseSuperblock(sb)
	return s.Size(), err
}

// encode writes the superblock into the first block of an image, which is
// otherwise final: the checksum covers all of it from the superblock on.
func (s Superblock) encode(block []byte) {
	b := block[SuperblockOffset:BlockSize]
	le := binary.LittleEndian
	le.PutUint32(b[0:], magic)
	le.PutUint32(b[8:], hasChecksum|hasMtime)
	b[12] = blockSizeBits
	le.PutUint16(b[14:], s.rootNID)
	le.PutUint64(b[16:], s.Inodes)
	le.PutUint64(b[24:], s.BuildTime)
	le.PutUint32(b[36:], s.Blocks)
	le.PutUint32(b[40:], s.metaBlock)
	le.PutUint32(b[44:], s.sharedBlock)
	copy(b[48:64], s.UUID[:])
	copy(b[64:80], s.Label)
	le.PutUint32(b[4:], checksum(b))
}

// checksum is CRC-32C without the final inversion over the first block from
// the superblock on, with the checksum's own field taken as zero.
func checksum(b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, b[:4])
	sum = crc32.Update(sum, table, make([]byte, 4))
	return ^crc32.Update(sum, table, b[8:])
}

func parseSuperblock(b []byte) (Superblock, error) {
	le := binary.LittleEndian
	if len(b) < SuperblockSize || le.Uint32(b) != magic {
		return Superblock{}, ErrNoSuperblock
	}
	if b[12] != blockSizeBits {
		return Superblock{}, fmt.Errorf("EROFS superblock: block size 2^%d is not supported, only %d", b[12], BlockSize)
	}
	if features := le.Uint32(b[80:]); features != 0 {
		return Superblock{}, fmt.Errorf("EROFS superblock: features %#x are not supported", features)
	}
	return Superblock{
		UUID:      [16]byte(b[48:64]),
		Label:     string(bytes.TrimRight(b[64:80], "\x00")),
		BuildTime: le.Uint64(b[24:]),
		Inodes:    le.Uint64(b[16:]),
		Blocks:    le.Uint32(b[36:]),

		rootNID:     le.Uint16(b[14:]),
		metaBlock:   le.Uint32(b[40:]),
		sharedBlock: le.Uint32(b[44:]),
	}, nil
}
