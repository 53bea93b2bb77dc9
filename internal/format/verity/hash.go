package verity

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// chunkBlocks is how many data blocks a worker reads at once: 1 MiB. It is a
// multiple of digestsPerHash, so that workers write to separate hash blocks.
const chunkBlocks = 256

// hasher computes salted block digests. It belongs to one goroutine.
type hasher struct {
	salt []byte
	hash hash.Hash
}

func newHasher(salt []byte) *hasher { return &hasher{salt, sha256.New()} }

// digests appends the digest of each block in data to sums. A salt of under
// 64 bytes does not fill a compression block, so restoring a hash state saved
// after it would save nothing.
func (h *hasher) digests(sums, data []byte) []byte {
	for ; len(data) > 0; data = data[BlockSize:] {
		h.hash.Reset()
		h.hash.Write(h.salt)
		h.hash.Write(data[:BlockSize])
		sums = h.hash.Sum(sums)
	}
	return sums
}

// eachChunk reads blocks [0,count) from r at base in chunks and calls fn with
// the digests of each chunk, from several goroutines at once and in no order.
// It stops at the first error.
func eachChunk(r io.ReaderAt, base, count int64, salt []byte, parallel int, fn func(first int64, sums []byte) error) error {
	if parallel <= 0 {
		parallel = runtime.NumCPU()
	}
	chunks := (count + chunkBlocks - 1) / chunkBlocks
	parallel = int(min(int64(parallel), chunks))
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, parallel)
	for worker := range parallel {
		group.Go(func() {
			h := newHasher(salt)
			buf := make([]byte, min(count, chunkBlocks)*BlockSize)
			sums := make([]byte, 0, chunkBlocks*digestSize)
			for c := next.Add(1) - 1; c < chunks; c = next.Add(1) - 1 {
				first := c * chunkBlocks
				part := buf[:min(chunkBlocks, count-first)*BlockSize]
				err := readFull(r, part, base+first*BlockSize)
				if err == nil {
					err = fn(first, h.digests(sums, part))
				}
				if err != nil {
					errs[worker] = err
					next.Store(chunks)
					return
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
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
