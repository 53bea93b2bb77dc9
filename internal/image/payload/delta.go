package payload

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/format/delta"
)

// Stats says what a payload is made of, bytes.
type Stats struct {
	Head   int64 // of the payload's head
	Usr    int64 // stored for /usr
	Kernel int64 // stored for the kernel image
}

// Total is the size of the payload.
func (s Stats) Total() int64 { return s.Head + s.Usr + s.Kernel }

// Delta writes the payload that makes one release from another. It is proved.
func Delta(ctx context.Context, old, next Image, w io.Writer, o Options) (Stats, error) {
	h := delta.Head{Kind: delta.Delta, From: old.Release, To: next.Release}
	b := &body{target: delta.Usr}
	pieces, err := usrPieces(old, next)
	if err == nil {
		err = b.compare(ctx, "delta", old.Usr, next.Usr, pieces, o)
	}
	if err != nil {
		return Stats{}, fmt.Errorf("making a delta of /usr: %w", err)
	}
	before, err := delta.Unpack(old.UKI, old.Release.UKISize)
	if err != nil {
		return Stats{}, err
	}
	after, err := delta.Unpack(next.UKI, next.Release.UKISize)
	if err == nil {
		err = after.Prove()
	}
	if err != nil {
		return Stats{}, err
	}
	b.target, h.Parts = delta.Kernel, after.Parts
	if err := b.compare(ctx, "kernel", before, after, kernelPieces(before, after), o); err != nil {
		return Stats{}, fmt.Errorf("making a delta of the kernel image: %w", err)
	}
	return b.finish(ctx, h, old, next, w, o)
}

// usrPieces pairs the files of two images.
func usrPieces(old, next Image) ([]piece, error) {
	before, err := extentsOf(old.Usr, old.Release.UsrSize)
	if err != nil {
		return nil, err
	}
	after, err := extentsOf(next.Usr, next.Release.UsrSize)
	if err != nil {
		return nil, err
	}
	var all []piece
	known, gaps := newPairs(before), 0
	for _, e := range after {
		p := piece{at: e.at, size: e.size}
		if from, equal, ok := known.older(e, gaps); ok {
			p.oldAt, p.oldSize, p.equal = from.at, from.size, equal
		}
		if e.path == "" {
			gaps++
		}
		all = append(all, piecesOf(p)...)
	}
	return all, nil
}

// incompressible is the size above which a plain part of the kernel image is
// taken for a compressed payload, in which nothing old is found.
const incompressible = 4 << 20

// kernelPieces pairs the parts of two kernel images by their order.
func kernelPieces(before, after *delta.UKI) []piece {
	var all []piece
	at, oldAt := int64(0), int64(0)
	for i, part := range after.Parts {
		p := piece{at: at, size: part.Size}
		if i < len(before.Parts) && len(before.Parts) == len(after.Parts) {
			from := before.Parts[i]
			p.oldAt, p.oldSize = oldAt, from.Size
			if part.Coding == delta.Plain && part.Size > incompressible && !sameBytes(before, after, p) {
				p.oldSize = 0
			}
			oldAt += from.Size
		}
		at += part.Size
		all = append(all, piecesOf(p)...)
	}
	return all
}

func sameBytes(old, text io.ReaderAt, p piece) bool {
	if p.size != p.oldSize {
		return false
	}
	a, b := make([]byte, p.size), make([]byte, p.size)
	return readFull(old, a, p.oldAt) == nil && readFull(text, b, p.at) == nil && string(a) == string(b)
}

// Sizes at which a segment is full, bytes before compression.
const (
	fullDiff  = 128 << 20
	fullExtra = 24 << 20
)

// body collects the segments of a payload.
type body struct {
	target   delta.Target
	writer   delta.SegmentWriter
	segments []delta.Segment
	stored   [][]byte
}

// compare makes segments of pieces, in their order, several at a time.
func (b *body) compare(ctx context.Context, phase string, old, text io.ReaderAt, pieces []piece, o Options) error {
	total, done := int64(0), int64(0)
	for _, p := range pieces {
		total += p.size
	}
	err := inOrder(ctx, len(pieces), o.parallel(), func(i int) (found, error) { return compare(old, text, pieces[i]) }, func(f found) error {
		f.put(&b.writer)
		done += f.size
		o.progress(phase, done, total)
		if diff, extra := b.writer.Raw(); diff < fullDiff && extra < fullExtra {
			return nil
		}
		return b.cut()
	})
	if err != nil {
		return err
	}
	return b.cut()
}

// cut ends the segment in hand.
func (b *body) cut() error {
	if b.writer.Size == 0 {
		return nil
	}
	stored, err := b.writer.Encode()
	if err != nil {
		return err
	}
	b.add(b.writer.Size, stored)
	b.writer = delta.SegmentWriter{}
	return nil
}

// inOrder runs work for each number, several at a time and not too far ahead,
// and hands the results on in their order.
func inOrder[T any](ctx context.Context, n, parallel int, work func(i int) (T, error), take func(T) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	results := make(chan chan T, 4*parallel)
	group.Go(func() error {
		defer close(results)
		workers, ctx := errgroup.WithContext(ctx)
		workers.SetLimit(parallel)
		for i := range n {
			result := make(chan T, 1)
			select {
			case results <- result:
			case <-ctx.Done():
				return workers.Wait()
			}
			workers.Go(func() error {
				r, err := work(i)
				if err == nil {
					result <- r
				}
				return err
			})
		}
		return workers.Wait()
	})
	group.Go(func() error {
		for {
			select {
			case result, more := <-results:
				if !more {
					return nil
				}
				select {
				case r := <-result:
					if err := take(r); err != nil {
						return err
					}
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
	return group.Wait()
}
