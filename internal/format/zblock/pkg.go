// Package zblock reads and writes compressed blocks of Zstandard (RFC 8878,
// section 3.1.1.2) that stand alone: each brings its own tables, and its
// repeated offsets begin as those of a frame do. So a block needs nothing but
// the bytes in front of it, and may follow any others.
//
// A body is what follows the header of a block. One that is given its history
// as a raw dictionary and a header of block and frame is a frame that any
// program reads.
//
// Limits: a block makes at most 128 KiB; an offset may be up to 2 GiB, which
// no frame could have.
package zblock

import "errors"

// MaxSize is what a block may make, bytes.
const MaxSize = 128 << 10

// MinMatch is the shortest match.
const MinMatch = 3

// ErrDamaged says that the bytes are no block.
var ErrDamaged = errors.New("a compressed block is damaged")

// Sequence is so many literals, and then a match: so many bytes from so far
// back.
type Sequence struct {
	Literals, Match, Offset uint32
}

// firstOffsets are the repeated offsets at the start of a block.
var firstOffsets = [3]uint32{1, 4, 8}
