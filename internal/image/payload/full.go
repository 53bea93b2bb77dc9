package payload

import (
	"context"
	"fmt"
	"io"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/image/squeeze"
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

func (b *body) fullUsr(ctx context.Context, next Image, o Options) (checks []delta.Check, err error) {
	size, done := next.Release.UsrSize, int64(0)
	err = squeeze.Each(ctx, next.Usr, size, squeeze.Options{Fast: o.Fast, Parallel: o.parallel()}, func(k squeeze.Block) error {
		b.add(int64(len(k.Data)), delta.StoreFull(k.Data, k.Body))
		checks = append(checks, delta.CheckOf(k.Data))
		done += int64(len(k.Data))
		o.progress("full", done, size)
		return nil
	})
	return checks, err
}

// fullKernel makes a segment of each part of the kernel image, packed as it
// is in the file.
func (b *body) fullKernel(next Image) ([]delta.Check, error) {
	u, err := delta.Unpack(next.UKI, next.Release.UKISize)
	if err != nil {
		return nil, err
	}
	var checks []delta.Check
	at := int64(0)
	for _, p := range u.Parts {
		data := make([]byte, p.Packed)
		if err := readFull(next.UKI, data, at); err != nil {
			return nil, err
		}
		at += p.Packed
		b.add(int64(len(data)), delta.StorePlain(data))
		checks = append(checks, delta.CheckOf(data))
	}
	return checks, nil
}
