package delta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"wellcar.dev/internal/format/delta/bsdiff"
)

// The operations.
const (
	opCopy byte = iota
	opPatch
	opPatchZ
	opNew
	opZero
	opSelf
)

// How a stream is stored.
const (
	storedPlain byte = iota
	storedZstd
	storedZstdDict // the dictionary is the new image before the segment
)

// SegmentWriter collects the operations of a segment. It keeps the bytes that
// it is given until Encode.
type SegmentWriter struct {
	Size       int64 // bytes that the operations make
	control    []byte
	diff       []byte
	extra      []byte
	lastSource int64
	lastSelf   int64
}

// Raw is the number of bytes of its streams before compression.
func (w *SegmentWriter) Raw() (diff, extra int) { return len(w.diff), len(w.extra) }

func (w *SegmentWriter) op(code byte, size int64) {
	w.control = binary.AppendUvarint(append(w.control, code), uint64(size))
	w.Size += size
}

// source writes a place in the old image relative to the end of the last one.
func (w *SegmentWriter) source(at, size int64) {
	w.control = binary.AppendVarint(w.control, at-w.lastSource)
	w.lastSource = at + size
}

// Copy takes bytes of the old image.
func (w *SegmentWriter) Copy(at, size int64) {
	w.op(opCopy, size)
	w.source(at, size)
}

// Patch changes bytes of the old image from at on.
func (w *SegmentWriter) Patch(at int64, p bsdiff.Patch) {
	w.op(opPatch, int64(len(p.Diff)+len(p.Extra)))
	w.source(at, int64(len(p.Diff)))
	w.control = binary.AppendUvarint(w.control, uint64(len(p.Triples)))
	for _, t := range p.Triples {
		w.control = binary.AppendUvarint(w.control, uint64(t.Add))
		w.control = binary.AppendUvarint(w.control, uint64(t.Extra))
		w.control = binary.AppendVarint(w.control, int64(t.Seek))
	}
	w.diff = append(w.diff, p.Diff...)
	w.extra = append(w.extra, p.Extra...)
}

// PatchZ unpacks a frame made with PackWith from a range of the old image.
func (w *SegmentWriter) PatchZ(at, sourceSize, size int64, frame []byte) {
	w.op(opPatchZ, size)
	w.source(at, sourceSize)
	w.control = binary.AppendUvarint(w.control, uint64(sourceSize))
	w.control = binary.AppendUvarint(w.control, uint64(len(frame)))
	w.extra = append(w.extra, frame...)
}

// New takes bytes that are given.
func (w *SegmentWriter) New(data []byte) {
	w.op(opNew, int64(len(data)))
	w.extra = append(w.extra, data...)
}

// Zero makes zeros.
func (w *SegmentWriter) Zero(size int64) { w.op(opZero, size) }

// Self takes bytes of the new image; at+size is not beyond the current place.
func (w *SegmentWriter) Self(at, size int64) {
	w.op(opSelf, size)
	w.control = binary.AppendVarint(w.control, at-w.lastSelf)
	w.lastSelf = at + size
}

// Encode writes the segment. The packer of its new bytes, which may be nil,
// has a dictionary that ends gap bytes before the place of the segment in the
// new image.
func (w *SegmentWriter) Encode(p *Packer, gap int64) ([]byte, error) {
	head := binary.AppendUvarint(nil, uint64(p.dictSize()))
	head = binary.AppendUvarint(head, uint64(gap))
	var body []byte
	for i, raw := range [][]byte{w.control, w.diff, w.extra} {
		var with *Packer
		if i == 2 {
			with = p
		}
		coding, stored, err := store(raw, with)
		if err != nil {
			return nil, fmt.Errorf("writing a segment: %w", err)
		}
		head = append(head, coding)
		head = binary.AppendUvarint(head, uint64(len(raw)))
		head = binary.AppendUvarint(head, uint64(len(stored)))
		body = append(body, stored...)
	}
	if len(head)+len(body) > MaxSegment {
		return nil, fmt.Errorf("writing a segment: %d bytes are more than %d", len(head)+len(body), MaxSegment)
	}
	return append(head, body...), nil
}

func store(raw []byte, p *Packer) (coding byte, stored []byte, err error) {
	if len(raw) == 0 {
		return storedPlain, raw, nil
	}
	if coding = storedZstdDict; p.dictSize() == 0 {
		coding = storedZstd
	}
	if p == nil {
		if p, err = takePlain(); err != nil {
			return 0, nil, err
		}
		defer plain.Put(p)
	}
	if stored = p.Pack(raw); len(stored) >= len(raw) {
		return storedPlain, raw, nil
	}
	return coding, stored, nil
}

// plain keeps packers without a dictionary: a new one for each segment would
// cost more than what it packs.
var plain sync.Pool

func takePlain() (*Packer, error) {
	if p, ok := plain.Get().(*Packer); ok {
		return p, nil
	}
	return NewPacker(nil)
}

// Packer compresses byte strings with one dictionary. It is for one goroutine.
type Packer struct {
	size int
	enc  *zstd.Encoder
}

// NewPacker makes a packer; the dictionary may be nil. Equal input gives
// equal bytes with one version of the encoder.
func NewPacker(dict []byte) (*Packer, error) { return levelPacker(dict, zstd.SpeedBestCompression) }

// NewFastPacker makes one without a dictionary, which is quick and packs less.
func NewFastPacker() (*Packer, error) { return levelPacker(nil, zstd.SpeedFastest) }

func levelPacker(dict []byte, level zstd.EncoderLevel) (*Packer, error) {
	if len(dict) > maxDict {
		return nil, fmt.Errorf("compressing: a dictionary of %d bytes is larger than %d", len(dict), maxDict)
	}
	options := []zstd.EOption{zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(maxWindow), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true)}
	if len(dict) > 0 {
		options = append(options, zstd.WithEncoderDictRaw(0, dict))
	}
	enc, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return &Packer{len(dict), enc}, nil
}

func (p *Packer) dictSize() int {
	if p == nil {
		return 0
	}
	return p.size
}

// Pack compresses one string.
func (p *Packer) Pack(data []byte) []byte { return p.enc.EncodeAll(data, nil) }

// Close frees the memory.
func (p *Packer) Close() { p.enc.Close() }

// PackWith compresses data with a dictionary, which may be nil.
func PackWith(data, dict []byte) ([]byte, error) {
	p, err := NewPacker(dict)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.Pack(data), nil
}

// streams are the parts of a segment, ready to be read.
type streams struct {
	control     []byte
	diff, extra io.Reader
	close       []func()
}

func (s *streams) Close() {
	for _, f := range s.close {
		f()
	}
}

// openSegment takes a segment apart. dict reads what the new image has so
// many bytes before the segment.
func openSegment(data []byte, dict func(size, gap int64) ([]byte, error)) (*streams, error) {
	c := cursor{data: data}
	dictSize, gap := c.size(maxDict), c.size(maxDict)
	var heads [3]streamHead
	for i := range heads {
		heads[i] = streamHead{coding: c.byte(), size: c.size(maxStream), stored: c.size(MaxSegment)}
	}
	s := &streams{}
	for i, h := range heads {
		stored := c.bytes(int(h.stored))
		if c.bad {
			s.Close()
			return nil, ErrDamaged
		}
		r, err := s.open(h, stored, func() ([]byte, error) { return dict(dictSize, gap) })
		if err == nil && i == 0 {
			s.control, err = readControl(r, h.size)
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		switch i {
		case 1:
			s.diff = r
		case 2:
			s.extra = r
		}
	}
	if len(c.data) > 0 {
		s.Close()
		return nil, ErrDamaged
	}
	return s, nil
}

type streamHead struct {
	coding       byte
	size, stored int64
}

func (s *streams) open(h streamHead, stored []byte, dict func() ([]byte, error)) (io.Reader, error) {
	var d []byte
	switch h.coding {
	case storedPlain:
		return bytes.NewReader(stored), nil
	case storedZstd:
	case storedZstdDict:
		var err error
		if d, err = dict(); err != nil {
			return nil, err
		}
	default:
		return nil, ErrDamaged
	}
	r, err := unpacker(bytes.NewReader(stored), d)
	if err != nil {
		return nil, err
	}
	s.close = append(s.close, r.Close)
	return io.LimitReader(r, h.size), nil
}

func unpacker(r io.Reader, dict []byte) (*zstd.Decoder, error) {
	options := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow)}
	if len(dict) > 0 {
		options = append(options, zstd.WithDecoderDictRaw(0, dict))
	}
	d, err := zstd.NewReader(r, options...)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return d, nil
}

func readControl(r io.Reader, size int64) ([]byte, error) {
	if size > maxControl {
		return nil, ErrDamaged
	}
	control := make([]byte, size)
	if _, err := io.ReadFull(r, control); err != nil {
		return nil, fmt.Errorf("reading the operations: %w", err)
	}
	return control, nil
}
