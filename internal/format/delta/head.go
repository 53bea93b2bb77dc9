package delta

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind says what a payload starts from.
type Kind byte

// The kinds of payloads.
const (
	Full  Kind = 'F' // nothing
	Delta Kind = 'D' // one other release
)

// Release is one side of a payload.
type Release struct {
	RootHash [32]byte
	Salt     [32]byte // of the verity tree
	UsrSize  int64    // of the /usr file system, without its tree
	UKISize  int64
	UKIHash  [32]byte // SHA-256
}

// Target says what a segment makes.
type Target byte

// The targets. Segments of Usr come first, each target's in its order.
const (
	Usr    Target = 0
	Kernel Target = 1 // the unpacked kernel image
)

// Segment is a part of a payload.
type Segment struct {
	Target Target
	Size   int64  // bytes that it makes
	Stored int64  // bytes in the payload
	Hash   Digest // of these
	Start  int64  // where it makes them; derived from the segments before
	Offset int64  // of the first stored byte in the payload; derived
}

// Digest is the start of the SHA-256 of a segment's stored bytes.
type Digest [16]byte

// DigestOf takes the digest of stored bytes.
func DigestOf(stored []byte) Digest {
	sum := sha256.Sum256(stored)
	return Digest(sum[:16])
}

// Head is the start of a payload.
type Head struct {
	Kind     Kind
	From     Release // zero for Full
	To       Release
	Parts    []Part // of the new kernel image
	Segments []Segment
	Size     int64 // of the head itself, bytes; derived
}

const magic = "WELLCAR\x03"

// PrefixSize is how much of a payload tells the size of its head: see HeadSize.
const PrefixSize = len(magic) + 4

// HeadSize reads the size of the head from its first PrefixSize bytes.
func HeadSize(prefix []byte) (int64, error) {
	if len(prefix) < PrefixSize || string(prefix[:len(magic)]) != magic {
		return 0, errors.New("reading a payload: it does not begin like one")
	}
	n := int64(binary.LittleEndian.Uint32(prefix[len(magic):]))
	if n < int64(PrefixSize) || n > MaxHead {
		return 0, fmt.Errorf("reading a payload: a head of %d bytes is not possible", n)
	}
	return n, nil
}

// MarshalHead writes a head. Start, Offset and Size are not read.
func MarshalHead(h Head) []byte {
	b := make([]byte, PrefixSize, 4096)
	copy(b, magic)
	b = append(b, byte(h.Kind))
	b = appendRelease(appendRelease(b, h.From), h.To)
	b = binary.AppendUvarint(b, uint64(len(h.Parts)))
	for _, p := range h.Parts {
		b = append(b, byte(p.Coding))
		b = binary.AppendUvarint(b, uint64(p.Size))
		b = binary.AppendUvarint(b, uint64(p.Packed))
	}
	b = binary.AppendUvarint(b, uint64(len(h.Segments)))
	for _, s := range h.Segments {
		b = append(b, byte(s.Target))
		b = binary.AppendUvarint(b, uint64(s.Size))
		b = binary.AppendUvarint(b, uint64(s.Stored))
		b = append(b, s.Hash[:]...)
	}
	binary.LittleEndian.PutUint32(b[len(magic):], uint32(len(b)))
	return b
}

func appendRelease(b []byte, r Release) []byte {
	b = append(append(b, r.RootHash[:]...), r.Salt[:]...)
	b = binary.AppendUvarint(b, uint64(r.UsrSize))
	b = binary.AppendUvarint(b, uint64(r.UKISize))
	return append(b, r.UKIHash[:]...)
}

// ParseHead reads a head, which may be followed by other bytes.
func ParseHead(data []byte) (Head, error) {
	size, err := HeadSize(data)
	if err != nil {
		return Head{}, err
	}
	if size > int64(len(data)) {
		return Head{}, errors.New("reading a payload: it ends within its head")
	}
	c := cursor{data: data[PrefixSize:size]}
	h := Head{Size: size, Kind: Kind(c.byte())}
	h.From, h.To = c.release(), c.release()
	h.Parts = c.parts()
	h.Segments = c.segments(size)
	if len(c.data) > 0 {
		c.bad = true
	}
	if c.bad {
		return Head{}, fmt.Errorf("reading a payload's head: %w", ErrDamaged)
	}
	return h, h.check()
}

func (c *cursor) release() (r Release) {
	copy(r.RootHash[:], c.bytes(32))
	copy(r.Salt[:], c.bytes(32))
	r.UsrSize, r.UKISize = c.size(maxImage), c.size(maxImage)
	copy(r.UKIHash[:], c.bytes(32))
	return r
}

func (c *cursor) parts() []Part {
	n := c.size(maxParts)
	parts := make([]Part, 0, n)
	for range n {
		parts = append(parts, Part{Coding: Coding(c.byte()), Size: c.size(maxImage), Packed: c.size(maxImage)})
	}
	return parts
}

func (c *cursor) segments(at int64) []Segment {
	n := c.size(maxSegments)
	all := make([]Segment, 0, n)
	var made [2]int64
	for range n {
		s := Segment{Target: Target(c.byte()), Size: c.size(maxImage), Stored: c.size(MaxSegment), Offset: at}
		copy(s.Hash[:], c.bytes(len(s.Hash)))
		if s.Target > Kernel {
			c.bad = true
			return nil
		}
		s.Start = made[s.Target]
		made[s.Target] += s.Size
		at += s.Stored
		all = append(all, s)
	}
	return all
}

// check compares the sums of the parts with the whole.
func (h Head) check() error {
	if h.Kind != Full && h.Kind != Delta {
		return fmt.Errorf("reading a payload's head: kind %q is not known", byte(h.Kind))
	}
	var made [2]int64
	last := Usr
	for _, s := range h.Segments {
		if s.Size == 0 || s.Target < last {
			return fmt.Errorf("reading a payload's head: %w", ErrDamaged)
		}
		made[s.Target] += s.Size
		last = s.Target
	}
	packed, size := int64(0), int64(0)
	for _, p := range h.Parts {
		packed, size = packed+p.Packed, size+p.Size
		if !p.Coding.known() {
			return fmt.Errorf("reading a payload's head: coding %d of a part is %w", p.Coding, ErrUnknownCoding)
		}
	}
	if made[Usr] != h.To.UsrSize || made[Kernel] != size || packed != h.To.UKISize {
		return fmt.Errorf("reading a payload's head: its segments do not make what it promises: %w", ErrDamaged)
	}
	return nil
}

// Total is the size of the whole payload, bytes.
func (h Head) Total() int64 {
	n := h.Size
	for _, s := range h.Segments {
		n += s.Stored
	}
	return n
}

// cursor reads from bytes; after a fault it gives zeros and bad is set.
type cursor struct {
	data []byte
	bad  bool
}

func (c *cursor) bytes(n int) []byte {
	if n > len(c.data) {
		c.bad, c.data = true, nil
		return nil
	}
	b := c.data[:n]
	c.data = c.data[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// size reads a number that is at most limit.
func (c *cursor) size(limit int64) int64 {
	v, n := binary.Uvarint(c.data)
	if n <= 0 || v > uint64(limit) {
		c.bad, c.data = true, nil
		return 0
	}
	c.data = c.data[n:]
	return int64(v)
}

// signed reads a number within the limit on either side of zero.
func (c *cursor) signed(limit int64) int64 {
	v, n := binary.Varint(c.data)
	if n <= 0 || v > limit || v < -limit {
		c.bad, c.data = true, nil
		return 0
	}
	c.data = c.data[n:]
	return v
}
