package payload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/layout"
)

// add appends an encoded segment that makes size bytes.
func (b *body) add(size int64, stored []byte) {
	b.segments = append(b.segments, delta.Segment{Target: b.target, Size: size, Stored: int64(len(stored)), Hash: delta.DigestOf(stored)})
	b.stored = append(b.stored, stored)
}

// finish proves the payload and writes it.
func (b *body) finish(ctx context.Context, h delta.Head, old, next Image, w io.Writer, o Options) (Stats, error) {
	h.Segments = b.segments
	head := delta.MarshalHead(h)
	h, err := delta.ParseHead(head)
	if err != nil {
		return Stats{}, err
	}
	if err := b.prove(ctx, h, old, next, o); err != nil {
		return Stats{}, fmt.Errorf("proving a payload: %w", err)
	}
	s := Stats{Head: int64(len(head))}
	if _, err := w.Write(head); err != nil {
		return s, fmt.Errorf("writing a payload: %w", err)
	}
	for i, stored := range b.stored {
		if _, err := w.Write(stored); err != nil {
			return s, fmt.Errorf("writing a payload: %w", err)
		}
		if h.Segments[i].Target == delta.Usr {
			s.Usr += int64(len(stored))
		} else {
			s.Kernel += int64(len(stored))
		}
	}
	return s, nil
}

// prove makes the release from the payload as a machine would.
func (b *body) prove(ctx context.Context, h delta.Head, old, next Image, o Options) error {
	a := delta.Applier{Head: h, New: twin{next.Usr}, Parallel: o.Parallel}
	if h.Kind == delta.Delta {
		a.Old, a.OldUKI, a.OldUKISize = old.Usr, old.UKI, old.Release.UKISize
	}
	if err := a.CheckOld(); err != nil {
		return err
	}
	fetch := func(_ context.Context, i int, s delta.Segment) ([]byte, error) {
		o.progress("prove", s.Start, h.To.UsrSize)
		return b.stored[i], nil
	}
	if err := a.Slot(ctx, 0, fetch, nil, layout.VerityUUID); err != nil {
		return err
	}
	return a.Kernel(ctx, fetch, io.Discard)
}

// twin stands for a slot that is being written: it takes only the bytes that
// the image has in that place.
type twin struct{ io.ReaderAt }

var errDiffers = errors.New("the payload makes other bytes")

func (t twin) WriteAt(p []byte, at int64) (int, error) {
	want := make([]byte, len(p))
	if err := readFull(t.ReaderAt, want, at); err != nil {
		return 0, err
	}
	if !bytes.Equal(p, want) {
		return 0, fmt.Errorf("bytes %d to %d: %w", at, at+int64(len(p)), errDiffers)
	}
	return len(p), nil
}
