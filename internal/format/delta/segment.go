package delta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

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
)

// How a stream is stored.
const (
	storedPlain byte = iota
	storedZstd
)

// SegmentWriter collects the operations of a segment. It keeps the bytes that
// it is given until Encode.
type SegmentWriter struct {
	Size       int64 // bytes that the operations make
	control    []byte
	diff       []byte
	extra      []byte
	lastSource int64
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

// Encode writes the segment.
func (w *SegmentWriter) Encode() ([]byte, error) {
	var head, body []byte
	for _, raw := range [][]byte{w.control, w.diff, w.extra} {
		coding, stored, err := store(raw)
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

func store(raw []byte) (coding byte, stored []byte, err error) {
	if len(raw) == 0 {
		return storedPlain, raw, nil
	}
	if stored, err = PackWith(raw, nil); err != nil {
		return 0, nil, err
	}
	if len(stored) >= len(raw) {
		return storedPlain, raw, nil
	}
	return storedZstd, stored, nil
}

// PackWith compresses data with a dictionary, which may be nil. Equal input
// gives equal bytes with one version of the encoder.
func PackWith(data, dict []byte) ([]byte, error) {
	if len(dict) > maxDict {
		return nil, fmt.Errorf("compressing: a dictionary of %d bytes is larger than %d", len(dict), maxDict)
	}
	options := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(maxWindow), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true)}
	if len(dict) > 0 {
		options = append(options, zstd.WithEncoderDictRaw(0, dict))
	}
	enc, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	defer enc.Close()
	return enc.EncodeAll(data, nil), nil
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

// openSegment takes a segment apart.
func openSegment(data []byte) (*streams, error) {
	c := cursor{data: data}
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
		r, err := s.open(h, stored)
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

func (s *streams) open(h streamHead, stored []byte) (io.Reader, error) {
	switch h.coding {
	case storedPlain:
		return bytes.NewReader(stored), nil
	case storedZstd:
	default:
		return nil, ErrDamaged
	}
	r, err := unpacker(bytes.NewReader(stored), nil)
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
