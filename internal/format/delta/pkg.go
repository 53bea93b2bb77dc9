// Package delta is the format of update payloads: how a release is made from
// another one, or from nothing.
//
// A payload is a head and segments. The head names the release it starts from
// and the one it makes, and has size and SHA-256 of each segment. A segment
// makes a range of the new /usr image, or of the new kernel image, and needs
// of the network nothing but its own bytes: after a cut, the segment in hand
// is done again.
//
// In a full payload it holds plain bytes, or a compressed block whose history
// is the new image in front of it. In a delta it holds operations and three
// streams that these consume:
//
//	COPY    bytes of the old image
//	PATCH   bytes of the old image, with differences added and new bytes between
//	PATCHZ  a zstd frame whose dictionary is a range of the old image
//	NEW     bytes of the stream of new bytes
//	ZERO    zeros
//
// All of them can be done twice. Old and new image are read and written in
// place; memory is a segment's stored bytes and the windows of its streams.
//
// The kernel image is a file of compressed parts, which hides what two have
// in common. It is patched with its parts unpacked, and packed again by an
// encoder that the head names (see UKI).
//
// docs/formats.md has the bytes. Limits: the encoder makes segments of at
// most 32 MiB, streams with a window of at most 8 MiB, and refuses images
// over 2 GiB.
package delta

import "errors"

// Limits of what a reader takes, so that a payload cannot exhaust a machine.
const (
	MaxHead     = 2 << 20   // bytes
	MaxSegment  = 32 << 20  // stored bytes
	maxStream   = 256 << 20 // bytes of one stream, unpacked
	maxControl  = 16 << 20
	maxWindow   = 8 << 20
	maxImage    = 2 << 30
	maxSegments = 1 << 17
	maxDict     = 8 << 20
)

// BlockSize is the size of a block of the /usr image, bytes.
const BlockSize = 4096

// ErrDamaged says that the bytes of a payload are not what a producer writes.
var ErrDamaged = errors.New("the payload is damaged")
