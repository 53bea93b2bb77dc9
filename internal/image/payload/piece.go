package payload

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/delta/bsdiff"
)

// Sizes of what is compared at once: memory is about 15 bytes for each of the
// old ones.
const (
	newPiece  = 6 << 20
	oldPiece  = 12 << 20
	copyLimit = 256 << 20 // of one operation
)

// piece is a part of the work: a range of the new image, and the range of the
// old one that it may be made from.
type piece struct {
	at, size       int64
	oldAt, oldSize int64 // size 0: nothing
	equal          bool  // as found by digest; then the sizes are, too
}

// piecesOf cuts a pair of ranges so that neither piece is too large. The old
// ranges overlap, so that content may move.
func piecesOf(p piece) []piece {
	if p.equal || p.size <= newPiece && p.oldSize <= oldPiece {
		return []piece{p}
	}
	var all []piece
	for done := int64(0); done < p.size; done += newPiece {
		q := piece{at: p.at + done, size: min(newPiece, p.size-done)}
		if p.oldSize > 0 {
			middle := int64(float64(done+q.size/2) / float64(p.size) * float64(p.oldSize))
			start := max(0, min(middle-oldPiece/2, p.oldSize-oldPiece))
			q.oldAt, q.oldSize = p.oldAt+start, min(oldPiece, p.oldSize-start)
		}
		all = append(all, q)
	}
	return all
}

// found is how a piece is made.
type found struct {
	piece
	data  []byte // of the new image; nil if equal
	patch *bsdiff.Patch
	frame []byte
}

// compare finds the smallest way to make a piece.
func compare(old, text io.ReaderAt, p piece) (found, error) {
	f := found{piece: p}
	if p.equal {
		return f, nil
	}
	f.data = make([]byte, p.size)
	if err := readFull(text, f.data, p.at); err != nil || p.oldSize == 0 {
		return f, err
	}
	before := make([]byte, p.oldSize)
	if err := readFull(old, before, p.oldAt); err != nil {
		return f, err
	}
	if bytes.Equal(before, f.data) {
		f.equal, f.data = true, nil
		return f, nil
	}
	patch := bsdiff.NewIndex(before).Diff(f.data)
	f.patch = &patch
	return f, f.tryFrame(before)
}

// tryFrame looks whether a frame with the old bytes as dictionary is clearly
// smaller than the patch. Patches get smaller when their streams are joined,
// frames do not, and are not compressed again.
func (f *found) tryFrame(before []byte) error {
	if len(f.patch.Extra) < len(f.data)/16 || len(before) > 8<<20 {
		return nil
	}
	patched, err := delta.PackWith(append(bytes.Clone(f.patch.Diff), f.patch.Extra...), nil)
	if err != nil {
		return err
	}
	frame, err := delta.PackWith(f.data, before)
	if err != nil {
		return err
	}
	if len(frame) < (len(patched)+4*len(f.patch.Triples))*4/5 {
		f.frame = frame
	}
	return nil
}

// put adds the piece to a segment.
func (f found) put(w *delta.SegmentWriter) {
	switch {
	case f.equal:
		for done := int64(0); done < f.size; done += copyLimit {
			w.Copy(f.oldAt+done, min(copyLimit, f.size-done))
		}
	case f.frame != nil:
		w.PatchZ(f.oldAt, f.oldSize, f.size, f.frame)
	case f.patch != nil:
		w.Patch(f.oldAt, *f.patch)
	default:
		putNew(w, f.data)
	}
}

// putNew adds new bytes, and zeros where whole blocks are.
func putNew(w *delta.SegmentWriter, data []byte) {
	for len(data) > 0 {
		n := zeroBlocks(data)
		if n > 0 {
			w.Zero(int64(n))
			data = data[n:]
			continue
		}
		for n < len(data) && zeroBlocks(data[n:]) == 0 {
			n = min(n+delta.BlockSize, len(data))
		}
		w.New(data[:n])
		data = data[n:]
	}
}

// zeroBlocks is the size of the whole blocks of zeros at the start.
func zeroBlocks(data []byte) (n int) {
	for len(data)-n >= delta.BlockSize && bytes.Equal(data[n:n+delta.BlockSize], zeroBlock[:]) {
		n += delta.BlockSize
	}
	return n
}

var zeroBlock [delta.BlockSize]byte

func readFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading %d bytes at %d: %w", len(p), at, err)
}
