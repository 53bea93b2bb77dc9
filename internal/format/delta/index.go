package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"wellcar.dev/internal/format/verity"
)

// Index lets a machine with any release fetch only those segments of a full
// payload whose content it does not have. It has the start of the verity
// digest of each block of the new image, so it costs the machine one reading
// of the old one. Digests are cut to four bytes: a segment put together from
// old blocks is compared with its check before it counts.
type Index struct {
	Blocks []uint32 // of each block of the new image, in order
	Checks []Check  // of each segment of the full payload: of the bytes it makes
}

const indexMagic = "WELLCAR\x04"

// Check is the start of the SHA-256 of what a segment makes.
type Check [8]byte

// CheckOf takes the check of these bytes.
func CheckOf(made []byte) Check {
	sum := sha256.Sum256(made)
	return Check(sum[:8])
}

// BlockDigests returns the numbers that an Index has for an image.
func BlockDigests(usr io.ReaderAt, size int64, salt [32]byte, parallel int) ([]uint32, error) {
	sums, err := verity.Digests(usr, 0, size, salt[:], parallel)
	if err != nil {
		return nil, err
	}
	out := make([]uint32, len(sums)/32)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(sums[32*i:])
	}
	return out, nil
}

// MarshalIndex writes an index.
func MarshalIndex(x Index) []byte {
	b := binary.AppendUvarint([]byte(indexMagic), uint64(len(x.Checks)))
	for _, c := range x.Checks {
		b = append(b, c[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(x.Blocks)))
	for _, d := range x.Blocks {
		b = binary.LittleEndian.AppendUint32(b, d)
	}
	return b
}

// ParseIndex reads an index for a full payload.
func ParseIndex(data []byte, full Head) (Index, error) {
	rest, ok := bytes.CutPrefix(data, []byte(indexMagic))
	if !ok {
		return Index{}, errors.New("reading a block index: it does not begin like one")
	}
	c := cursor{data: rest}
	var x Index
	for range c.size(maxSegments) {
		x.Checks = append(x.Checks, Check(pad(c.bytes(8), 8)))
	}
	n := c.size(maxImage / BlockSize)
	raw := pad(c.bytes(int(4*n)), int(4*n))
	if c.bad || len(c.data) > 0 || int64(len(x.Checks)) != int64(len(full.Segments)) || n*BlockSize != full.To.UsrSize {
		return Index{}, fmt.Errorf("reading a block index: it does not fit the payload: %w", ErrDamaged)
	}
	for ; len(raw) > 0; raw = raw[4:] {
		x.Blocks = append(x.Blocks, binary.LittleEndian.Uint32(raw))
	}
	return x, nil
}

// pad makes up for what a cursor did not have.
func pad(b []byte, size int) []byte {
	if len(b) == size {
		return b
	}
	return make([]byte, size)
}

// Reuse knows which segments of a full payload an old release has already.
type Reuse struct {
	index  Index
	old    io.ReaderAt
	blocks map[uint32]int64 // number of a block with that digest
	byNum  []uint32
	parts  map[Check][]byte // of the old kernel image
}

// NewReuse reads an old release of any version. The old image need not have
// a known root hash: what comes out is compared.
func NewReuse(x Index, to Release, old io.ReaderAt, oldSize int64, oldUKI io.ReaderAt, oldUKISize int64) (*Reuse, error) {
	r := &Reuse{index: x, old: old, blocks: map[uint32]int64{}, parts: map[Check][]byte{}}
	var err error
	if r.byNum, err = BlockDigests(old, oldSize, to.Salt, 0); err != nil {
		return nil, fmt.Errorf("reading the old /usr: %w", err)
	}
	for i := len(r.byNum) - 1; i >= 0; i-- {
		r.blocks[r.byNum[i]] = int64(i)
	}
	u, err := Unpack(oldUKI, oldUKISize)
	if err != nil {
		return nil, err
	}
	at := int64(0)
	for _, p := range u.Parts {
		packed := make([]byte, p.Packed)
		if err := readAt(oldUKI, packed, at); err != nil {
			return nil, fmt.Errorf("reading the old kernel image: %w", err)
		}
		r.parts[CheckOf(packed)] = packed
		at += p.Packed
	}
	return r, nil
}

// Has tells whether the segment probably needs no download, without reading
// its bytes.
func (r *Reuse) Has(number int, s Segment) bool {
	if s.Target == Kernel {
		_, ok := r.parts[r.index.Checks[number]]
		return ok
	}
	_, ok := r.find(s)
	return ok
}

// Needs is how many bytes of the payload's segments are to be fetched.
func (r *Reuse) Needs(full Head) (n int64) {
	for i, s := range full.Segments {
		if !r.Has(i, s) {
			n += s.Stored
		}
	}
	return n
}

// RunEnd is the end, in the payload, of the segments from a number on that
// are to be fetched one after the other.
func (a *Applier) RunEnd(number int) int64 {
	segments := a.Head.Segments
	end := number + 1
	for end < len(segments) && (a.Reuse == nil || !a.Reuse.Has(end, segments[end])) {
		end++
	}
	return segments[end-1].Offset + segments[end-1].Stored
}

// find returns the old blocks that make a segment. A block that goes on where
// the one before it was found is preferred.
func (r *Reuse) find(s Segment) ([]int64, bool) {
	var found []int64
	next := int64(-1)
	for b := s.Start / BlockSize; b < (s.Start+s.Size)/BlockSize; b++ {
		d := r.index.Blocks[b]
		if next < 0 || next >= int64(len(r.byNum)) || r.byNum[next] != d {
			at, ok := r.blocks[d]
			if !ok {
				return nil, false
			}
			next = at
		}
		found = append(found, next)
		next++
	}
	return found, s.Start%BlockSize == 0 && s.Size%BlockSize == 0
}

// content returns what a segment makes, if the old release has it.
func (r *Reuse) content(number int, s Segment) ([]byte, bool) {
	if s.Target == Kernel {
		p, ok := r.parts[r.index.Checks[number]]
		return p, ok && int64(len(p)) == s.Size
	}
	blocks, ok := r.find(s)
	if !ok || s.Size > maxStream {
		return nil, false
	}
	made := make([]byte, s.Size)
	for i, b := range blocks {
		if readAt(r.old, made[i*BlockSize:][:BlockSize], b*BlockSize) != nil {
			return nil, false
		}
	}
	return made, CheckOf(made) == r.index.Checks[number]
}
