package payload

import (
	"context"
	"fmt"
	"io"
	"sort"

	"wellcar.dev/internal/format/delta"
)

// Sizes of a full payload's segments, bytes. Small segments are what makes
// the block index precise. Those of one group know, when they are compressed,
// what the image has before the group.
const (
	fullSegment = 128 << 10
	fullGroup   = 4 << 20
)

// Full writes the payload that makes a release from nothing, and its block
// index. It is proved.
func Full(ctx context.Context, next Image, w, index io.Writer, o Options) (Stats, error) {
	h := delta.Head{Kind: delta.Full, To: next.Release}
	b := &body{target: delta.Usr}
	checks, err := b.fullUsr(ctx, next, o)
	if err != nil {
		return Stats{}, fmt.Errorf("making a full payload of /usr: %w", err)
	}
	b.target = delta.Kernel
	h.Parts = []delta.Part{{Coding: delta.Plain, Size: next.Release.UKISize, Packed: next.Release.UKISize}}
	kernel, err := b.fullKernel(next)
	if err != nil {
		return Stats{}, fmt.Errorf("making a full payload of the kernel image: %w", err)
	}
	blocks, err := delta.BlockDigests(next.Usr, next.Release.UsrSize, next.Release.Salt, o.Parallel)
	if err != nil {
		return Stats{}, err
	}
	if _, err := index.Write(delta.MarshalIndex(delta.Index{Blocks: blocks, Checks: append(checks, kernel...)})); err != nil {
		return Stats{}, fmt.Errorf("writing a block index: %w", err)
	}
	return b.finish(ctx, h, Image{}, next, w, o)
}

// encoded is a segment with the check of what it makes.
type encoded struct {
	size   int64
	stored []byte
	check  [16]byte
}

func (b *body) fullUsr(ctx context.Context, next Image, o Options) ([][16]byte, error) {
	size := next.Release.UsrSize
	matches, err := farMatches(next.Usr, size, fullGroup)
	if err != nil {
		return nil, err
	}
	var checks [][16]byte
	done := int64(0)
	work := func(i int) ([]encoded, error) {
		return encodeGroup(next.Usr, size, int64(i)*fullGroup, matches, o.packer())
	}
	err = inOrder(ctx, int((size+fullGroup-1)/fullGroup), o.Parallel, work, func(group []encoded) error {
		for _, e := range group {
			b.add(e.size, e.stored)
			checks = append(checks, e.check)
			done += e.size
		}
		o.progress("full", done, size)
		return nil
	})
	return checks, err
}

func (o Options) packer() func(dict []byte) (*delta.Packer, error) {
	if o.Fast {
		return func([]byte) (*delta.Packer, error) { return delta.NewFastPacker() }
	}
	return delta.NewPacker
}

// encodeGroup makes the segments of a group.
func encodeGroup(usr io.ReaderAt, size, at int64, matches []match, packer func([]byte) (*delta.Packer, error)) ([]encoded, error) {
	near := min(at, fullGroup)
	data := make([]byte, near+min(fullGroup, size-at))
	if err := readFull(usr, data, at-near); err != nil {
		return nil, err
	}
	p, err := packer(data[:near])
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var all []encoded
	data = data[near:]
	for gap := int64(0); gap < int64(len(data)); gap += fullSegment {
		part := data[gap:min(gap+fullSegment, int64(len(data)))]
		w := writeFull(part, at+gap, matches)
		stored, err := w.Encode(p, gap)
		if err != nil {
			return nil, err
		}
		all = append(all, encoded{w.Size, stored, delta.Check(part)})
	}
	return all, nil
}

// writeFull makes a segment from matches and new bytes.
func writeFull(data []byte, at int64, matches []match) *delta.SegmentWriter {
	var w delta.SegmentWriter
	end, done := at+int64(len(data)), at
	for i := sort.Search(len(matches), func(i int) bool { return matches[i].at+matches[i].size > at }); i < len(matches) && matches[i].at < end; i++ {
		m := matches[i]
		first, last := max(m.at, at), min(m.at+m.size, end)
		putNew(&w, data[done-at:first-at])
		w.Self(m.from+first-m.at, last-first)
		done = last
	}
	putNew(&w, data[done-at:])
	return &w
}

// fullKernel makes a segment of each part of the kernel image, packed as it
// is in the file.
func (b *body) fullKernel(next Image) ([][16]byte, error) {
	u, err := delta.Unpack(next.UKI, next.Release.UKISize)
	if err != nil {
		return nil, err
	}
	var checks [][16]byte
	at := int64(0)
	for _, p := range u.Parts {
		data := make([]byte, p.Packed)
		if err := readFull(next.UKI, data, at); err != nil {
			return nil, err
		}
		at += p.Packed
		var w delta.SegmentWriter
		putNew(&w, data)
		stored, err := w.Encode(nil, 0)
		if err != nil {
			return nil, err
		}
		b.add(w.Size, stored)
		checks = append(checks, delta.Check(data))
	}
	return checks, nil
}
