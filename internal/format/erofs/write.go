package erofs

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"

	"wellcar.dev/internal/format/fstree"
)

// windowSize is how much of the image a goroutine gathers before it writes.
const windowSize = 1 << 20

// Write plans an image and writes it to w from offset 0.
func Write(w io.WriterAt, t *fstree.Tree, opt Options) (Stats, error) {
	l, err := Plan(t, opt)
	if err != nil {
		return Stats{}, err
	}
	return l.Stats, l.WriteTo(w)
}

// WriteTo writes the image, every byte of [0, Size) once and nothing else, by
// several goroutines at once. It holds 1 MiB per goroutine beside Meta.
func (l *Layout) WriteTo(w io.WriterAt) error {
	meta := fstree.Blob{Source: bytes.NewReader(l.Meta), Size: int64(len(l.Meta))}
	extents := append([]Extent{{0, "metadata", meta}}, l.Extents...)
	buffers := sync.Pool{New: func() any { return new([windowSize]byte) }}
	report := l.reporter()
	err := inParallel((l.Size()+windowSize-1)/windowSize, l.opt.Parallel, func(i int64) error {
		array := buffers.Get().(*[windowSize]byte)
		defer buffers.Put(array)
		at := i * windowSize
		buf := array[:min(windowSize, l.Size()-at)]
		if err := fill(buf, at, extents); err != nil {
			return err
		}
		_, err := w.WriteAt(buf, at)
		report(int64(len(buf)))
		return err
	})
	if err != nil {
		return fmt.Errorf("writing EROFS image: %w", err)
	}
	return nil
}

// fill gathers the part of the image at an offset: extents and zeros.
func fill(buf []byte, at int64, extents []Extent) error {
	end := at + int64(len(buf))
	first := sort.Search(len(extents), func(i int) bool { return extents[i].end() > at })
	filled := at
	for _, e := range extents[first:] {
		if e.Offset >= end {
			break
		}
		from, to := max(at, e.Offset), min(end, e.end())
		clear(buf[filled-at : from-at])
		if err := readFull(e.Blob.Source, buf[from-at:to-at], e.Blob.Offset+from-e.Offset); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		filled = to
	}
	clear(buf[filled-at:])
	return nil
}

// reporter returns a function that adds to the progress.
func (l *Layout) reporter() func(n int64) {
	if l.opt.Progress == nil {
		return func(int64) {}
	}
	var lock sync.Mutex
	var done int64
	return func(n int64) {
		lock.Lock()
		defer lock.Unlock()
		done += n
		l.opt.Progress(done, l.Size())
	}
}

// inParallel calls fn for each of [0, count) in order of start, from several
// goroutines (0: one per CPU), and returns the first error it meets.
func inParallel(count int64, parallel int, fn func(i int64) error) error {
	if parallel <= 0 {
		parallel = runtime.NumCPU()
	}
	var next atomic.Int64
	var once sync.Once
	var group sync.WaitGroup
	var failure error
	for range min(int64(parallel), count) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < count; i = next.Add(1) - 1 {
				if err := fn(i); err != nil {
					once.Do(func() { failure = err })
					next.Store(count)
				}
			}
		})
	}
	group.Wait()
	return failure
}

func readFull(r io.ReaderAt, buf []byte, off int64) error {
	if n, err := r.ReadAt(buf, off); n != len(buf) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %d bytes at %d: %w", len(buf), off, err)
	}
	return nil
}
