package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/format/zblock"
)

// Reasons to give a payload up and take the full one.
var (
	ErrWrongOld = errors.New("the running release is not the one that the payload starts from")
	ErrWrongNew = errors.New("the new image is not the one that was promised")
)

// Applier makes a new release in the other slot. Its fields are set before
// use and not changed; it is for one goroutine.
type Applier struct {
	Head       Head
	Old        io.ReaderAt  // the /usr image in use with its tree; nil for a full payload
	OldUKI     io.ReaderAt  // nil for a full payload
	OldUKISize int64        // bytes
	New        ReadWriterAt // the other slot
	// Reuse, with a full payload, leaves out what the old release has. It may
	// be nil.
	Reuse *Reuse
	// Parallel is the number of goroutines that hash; 0 means one per CPU.
	Parallel int

	window *zblock.Window // of a full payload
}

// CheckOld reads the old image and compares it with its root hash, and the
// old kernel image with its digest. It comes before the first segment.
func (a *Applier) CheckOld() error {
	if a.Head.Kind == Full {
		return nil
	}
	from := a.Head.From
	if err := verity.Verify(a.Old, 0, from.UsrSize, from.RootHash); err != nil {
		return fmt.Errorf("checking the old /usr: %w: %w", ErrWrongOld, err)
	}
	if a.OldUKISize != from.UKISize {
		return fmt.Errorf("checking the old kernel image: %w: it has %d bytes, not %d", ErrWrongOld, a.OldUKISize, from.UKISize)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(a.OldUKI, 0, from.UKISize)); err != nil {
		return fmt.Errorf("checking the old kernel image: %w", err)
	}
	if [32]byte(h.Sum(nil)) != from.UKIHash {
		return fmt.Errorf("checking the old kernel image: %w", ErrWrongOld)
	}
	return nil
}

// Usr makes the range of one segment of target Usr from the segment's stored
// bytes, after checking these. It may be repeated; segments before it must be
// done.
func (a *Applier) Usr(number int, stored []byte) error {
	s, err := a.check(number, Usr, stored)
	if err != nil {
		return err
	}
	if err := a.usr(s, stored); err != nil {
		return fmt.Errorf("making bytes %d to %d of /usr: %w", s.Start, s.Start+s.Size, err)
	}
	return nil
}

func (a *Applier) usr(s Segment, stored []byte) error {
	if a.Head.Kind == Full {
		return a.full(s, stored)
	}
	return segment(stored, s.Size, a.Old, a.Head.From.UsrSize, &output{w: slotSink{a.New}, at: s.Start})
}

func (a *Applier) check(number int, t Target, stored []byte) (Segment, error) {
	if number < 0 || number >= len(a.Head.Segments) || a.Head.Segments[number].Target != t {
		return Segment{}, fmt.Errorf("BUG: segment %d is not of target %d", number, t)
	}
	s := a.Head.Segments[number]
	if int64(len(stored)) != s.Stored || DigestOf(stored) != s.Hash {
		return s, fmt.Errorf("segment %d of the payload does not have its digest: %w", number, ErrDamaged)
	}
	return s, nil
}

func segment(stored []byte, size int64, old io.ReaderAt, oldSize int64, out *output) error {
	s, err := openSegment(stored)
	if err != nil {
		return err
	}
	defer s.Close()
	if old == nil {
		oldSize = 0
	}
	r := runner{old: old, oldSize: oldSize, out: out, control: cursor{data: s.control}, diff: s.diff, extra: s.extra}
	return r.run(size)
}

// Fetch returns the stored bytes of a segment. They are not used after the
// next call.
type Fetch func(ctx context.Context, number int, s Segment) ([]byte, error)

// Slot does all segments of /usr from number first on, then adds the verity
// tree and compares the root hash. done is called after each segment, with
// the number to go on from; it may be nil. uuid is that of the verity
// superblock.
func (a *Applier) Slot(ctx context.Context, first int, fetch Fetch, done func(next int) error, uuid func(root [32]byte) [16]byte) error {
	for i := first; i < len(a.Head.Segments) && a.Head.Segments[i].Target == Usr; i++ {
		if err := a.step(ctx, i, fetch); err != nil {
			return err
		}
		if done != nil {
			if err := done(i + 1); err != nil {
				return err
			}
		}
	}
	return a.Seal(uuid)
}

func (a *Applier) step(ctx context.Context, number int, fetch Fetch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := a.Head.Segments[number]
	if a.Reuse != nil {
		if made, ok := a.Reuse.content(number, s); ok {
			return a.reused(s, made)
		}
	}
	stored, err := fetch(ctx, number, s)
	if err != nil {
		return err
	}
	return a.Usr(number, stored)
}

// Seal writes the verity tree behind the new image and compares the root
// hash with the promised one.
func (a *Applier) Seal(uuid func(root [32]byte) [16]byte) error {
	to := a.Head.To
	a.window = nil
	tree, err := verity.Append(a.New, 0, to.UsrSize, verity.Params{Salt: to.Salt[:], UUID: uuid, Parallel: a.Parallel})
	if err != nil {
		return fmt.Errorf("sealing the new /usr: %w", err)
	}
	if tree.RootHash != to.RootHash {
		return fmt.Errorf("sealing the new /usr: %w: root hash %x, not %x", ErrWrongNew, tree.RootHash, to.RootHash)
	}
	return nil
}

// Kernel makes the kernel image and writes it to w, which must not be put in
// place unless the error is nil. After a cut it starts anew.
func (a *Applier) Kernel(ctx context.Context, fetch Fetch, w io.Writer) error {
	var old *UKI
	if a.Head.Kind == Delta {
		var err error
		if old, err = Unpack(a.OldUKI, a.OldUKISize); err != nil {
			return err
		}
	}
	p := newPacker(w, a.Head.Parts)
	at := int64(0)
	for i, s := range a.Head.Segments {
		if s.Target != Kernel {
			continue
		}
		if err := a.kernelStep(ctx, i, fetch, old, &output{w: streamSink{p}, at: at}); err != nil {
			return fmt.Errorf("making the kernel image: %w", err)
		}
		at += s.Size
	}
	if [32]byte(p.count.hash.Sum(nil)) != a.Head.To.UKIHash || p.count.n != a.Head.To.UKISize {
		return fmt.Errorf("making the kernel image: %w", ErrWrongNew)
	}
	return nil
}

func (a *Applier) kernelStep(ctx context.Context, number int, fetch Fetch, old *UKI, out *output) error {
	if a.Reuse != nil {
		if made, ok := a.Reuse.content(number, a.Head.Segments[number]); ok {
			return errors.Join(out.write(made), out.flush())
		}
	}
	stored, err := fetch(ctx, number, a.Head.Segments[number])
	if err != nil {
		return err
	}
	s, err := a.check(number, Kernel, stored)
	if err != nil {
		return err
	}
	if old == nil {
		made, err := plainOf(s, stored)
		if err != nil {
			return err
		}
		return errors.Join(out.write(made), out.flush())
	}
	return segment(stored, s.Size, old, old.Size(), out)
}

// countWriter counts and hashes what passes.
type countWriter struct {
	w    io.Writer
	n    int64
	hash hash.Hash
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.hash.Write(p[:n])
	return n, err
}

// FetchFrom returns a Fetch that reads from a whole payload.
func FetchFrom(payload io.ReaderAt) Fetch {
	var buf bytes.Buffer
	return func(_ context.Context, number int, s Segment) ([]byte, error) {
		buf.Reset()
		buf.Grow(int(s.Stored) + bytes.MinRead)
		n, err := io.Copy(&buf, io.NewSectionReader(payload, s.Offset, s.Stored))
		if err == nil && n < s.Stored {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("reading segment %d of the payload: %w", number, err)
		}
		return buf.Bytes(), nil
	}
}
