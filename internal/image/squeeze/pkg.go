// Package squeeze packs an image into blocks (internal/format/zblock) that
// are unpacked one by one, each with nothing but the image in front of it.
//
// One goroutine looks for matches in all of the image: by a binary tree of
// the last 16 MiB, and by samples of what is further back. Others choose
// among the matches of a block, twice: by what symbols usually cost, and by
// what they cost the first time. What comes out depends on the image only.
package squeeze

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/format/zblock"
)

// Size is what a block makes, bytes; the last one may make less. Smaller ones
// would add more tables than they save, and larger ones save nothing either.
const Size = 32 << 10

// What is looked at.
const (
	window = zblock.Near // of the tree, bytes
	depth  = 16          // places in the tree that are compared
	nice   = 64          // bytes that are compared of each
	long   = 64          // a match of this size is taken as it is
	apart  = 1 << 20     // of a repeat that the tree may not know, bytes
)

// Block is content and the body of a block that makes it.
type Block struct {
	Data, Body []byte
}

// Options are the choices of a caller. What comes out depends on Fast only.
type Options struct {
	Fast     bool // larger blocks, in a tenth of the time
	Parallel int  // goroutines
}

// Each packs size bytes and gives the blocks in their order. They are not
// used after take returns.
func Each(ctx context.Context, r io.ReaderAt, size int64, o Options, take func(Block) error) error {
	far, err := repeats(r, size, apart)
	if err != nil {
		return err
	}
	newSearch := func() searcher { return newFinder(far, size) }
	if o.Fast {
		newSearch = func() searcher { return newQuick(far) }
	}
	group, ctx := errgroup.WithContext(ctx)
	n := max(1, o.Parallel)
	jobs, order := make(chan *job, n), make(chan *job, n)
	group.Go(func() error {
		defer close(jobs)
		defer close(order)
		return search(ctx, &text{r: r, size: size}, newSearch(), jobs, order)
	})
	for range n {
		group.Go(func() error { return work(jobs) })
	}
	group.Go(func() error {
		for j := range order {
			select {
			case <-j.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := take(Block{j.matches.data, j.body}); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// job is a block in the making.
type job struct {
	matches found
	body    []byte
	done    chan struct{}
}

// searcher finds matches.
type searcher interface {
	segment(t *text, at, end int64, f *found)
}

func search(ctx context.Context, t *text, s searcher, jobs, order chan<- *job) error {
	for at := int64(0); at < t.size; at += Size {
		end := min(at+Size, t.size)
		if err := t.move(at, end); err != nil {
			return fmt.Errorf("looking for matches: %w", err)
		}
		j := &job{done: make(chan struct{})}
		s.segment(t, at, end, &j.matches)
		for _, c := range []chan<- *job{jobs, order} {
			select {
			case c <- j:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

func work(jobs <-chan *job) error {
	p := newParser()
	var e zblock.Encoder
	for j := range jobs {
		p.parse(&j.matches)
		var err error
		if j.body, err = e.Append(nil, p.literals, p.out); err != nil {
			return fmt.Errorf("packing %d bytes at %d: %w", len(j.matches.data), j.matches.at, err)
		}
		close(j.done)
	}
	return nil
}
