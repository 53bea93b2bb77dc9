package crau

import (
	"bytes"
	stdbzip2 "compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

	"github.com/dsnet/compress/bzip2"
	"golang.org/x/sync/errgroup"
)

// chunkBlocks is what one operation writes at most: as much as one block of
// bzip2 takes in.
const chunkBlocks = 219

// Source is what a payload writes.
type Source struct {
	Partition io.ReaderAt
	Size      int64 // of the partition's content, bytes, whole blocks
	Kernel    io.ReaderAt
	KernelLen int64 // bytes
}

// Scratch keeps the blobs until the manifest, which is before them, is known.
type Scratch interface {
	io.ReaderAt
	io.WriterAt
}

// Options are the choices of a payload.
type Options struct {
	Fast     bool                    // do not compress at all
	Parallel int                     // compressing goroutines; 0: one per CPU
	Progress func(done, total int64) // bytes read; may be nil
}

// Write writes a payload that is signed with key.
func Write(ctx context.Context, w io.Writer, scratch Scratch, s Source, key Signer, o Options) (Manifest, error) {
	if s.Size <= 0 || s.Size%BlockSize != 0 || s.KernelLen <= 0 {
		return Manifest{}, fmt.Errorf("writing a payload: a partition of %d bytes with a kernel of %d is not possible", s.Size, s.KernelLen)
	}
	b := &builder{ctx: ctx, scratch: scratch, o: o, total: s.Size + s.KernelLen}
	var m Manifest
	var err error
	if m.Partition, m.PartitionInfo, err = b.add(s.Partition, s.Size); err != nil {
		return m, fmt.Errorf("writing the partition into a payload: %w", err)
	}
	if m.Kernel, m.KernelInfo, err = b.add(s.Kernel, s.KernelLen); err != nil {
		return m, fmt.Errorf("writing the kernel into a payload: %w", err)
	}
	m.SignatureOffset, m.SignatureSize = uint64(b.at), uint64(len(signatures(make([]byte, key.Size()))))
	if err := finish(w, io.NewSectionReader(scratch, 0, b.at), m, key); err != nil {
		return m, fmt.Errorf("writing a payload: %w", err)
	}
	return m, nil
}

func finish(w io.Writer, blobs io.Reader, m Manifest, key Signer) error {
	manifest := m.encode()
	head := binary.BigEndian.AppendUint64([]byte(Magic), 1)
	head = binary.BigEndian.AppendUint64(head, uint64(len(manifest)))
	sum := sha256.New()
	signed := io.MultiWriter(w, sum)
	for _, part := range [][]byte{head, manifest} {
		if _, err := signed.Write(part); err != nil {
			return err
		}
	}
	if _, err := io.Copy(signed, blobs); err != nil {
		return err
	}
	sig, err := key.sign(sum.Sum(nil))
	if err == nil {
		_, err = w.Write(signatures(sig))
	}
	return err
}

// signatures is the message at the end.
func signatures(sig []byte) []byte {
	var entry, all message
	entry.number(entryVersion, signatureVersion)
	entry.bytes(entryData, sig)
	all.bytes(signatureEntry, entry)
	return all
}

// builder collects blobs.
type builder struct {
	ctx         context.Context
	scratch     Scratch
	o           Options
	at          int64 // bytes of blobs so far
	done, total int64
}

// piece is what becomes one operation.
type piece struct {
	raw   []byte
	blob  []byte
	kind  Type
	index int64
}

// add makes operations for all of a source, a batch of pieces at a time.
func (b *builder) add(src io.ReaderAt, size int64) (ops []Operation, info Info, err error) {
	sum := sha256.New()
	workers := b.o.Parallel
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	const step = chunkBlocks * BlockSize
	for at := int64(0); at < size; {
		if err := b.ctx.Err(); err != nil {
			return nil, info, err
		}
		var batch []*piece
		for ; len(batch) < workers && at < size; at += step {
			p := &piece{raw: make([]byte, min(step, size-at)), index: at / BlockSize}
			if n, err := src.ReadAt(p.raw, at); n < len(p.raw) {
				return nil, info, fmt.Errorf("reading %d bytes at %d: %w", len(p.raw), at, err)
			}
			sum.Write(p.raw)
			batch = append(batch, p)
		}
		if err := b.compress(batch); err != nil {
			return nil, info, err
		}
		for _, p := range batch {
			op, err := b.store(p)
			if err != nil {
				return nil, info, err
			}
			ops = append(ops, op)
		}
	}
	return ops, Info{uint64(size), sum.Sum(nil)}, nil
}

func (b *builder) compress(batch []*piece) error {
	var g errgroup.Group
	for _, p := range batch {
		g.Go(func() error { return p.compress(b.o.Fast) })
	}
	return g.Wait()
}

var errRound = errors.New("what was compressed does not come out again")

// compress sets the blob of a piece, after proving that it comes out again.
func (p *piece) compress(fast bool) error {
	if fast {
		p.kind, p.blob = Replace, p.raw
		return nil
	}
	var out bytes.Buffer
	w, err := bzip2.NewWriter(&out, &bzip2.WriterConfig{Level: bzip2.BestCompression})
	if err != nil {
		return err
	}
	if _, err := w.Write(p.raw); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if out.Len() >= len(p.raw) {
		p.kind, p.blob = Replace, p.raw
		return nil
	}
	p.kind, p.blob = ReplaceBzip2, out.Bytes()
	again := make([]byte, len(p.raw))
	r := stdbzip2.NewReader(bytes.NewReader(p.blob))
	if _, err := io.ReadFull(r, again); err != nil || !bytes.Equal(again, p.raw) {
		return errors.Join(errRound, err)
	}
	return nil
}

func (b *builder) store(p *piece) (Operation, error) {
	if b.at+int64(len(p.blob)) > math.MaxUint32 {
		return Operation{}, fmt.Errorf("there is more data than the %d bytes that a payload can have", uint32(math.MaxUint32))
	}
	if _, err := b.scratch.WriteAt(p.blob, b.at); err != nil {
		return Operation{}, err
	}
	sum := sha256.Sum256(p.blob)
	op := Operation{Type: p.kind, Offset: uint32(b.at), Length: uint32(len(p.blob)), SHA256: sum[:],
		Extents: []Extent{{uint64(p.index), uint64(len(p.raw)+BlockSize-1) / BlockSize}}}
	b.at += int64(len(p.blob))
	b.done += int64(len(p.raw))
	if b.o.Progress != nil {
		b.o.Progress(b.done, b.total)
	}
	return op, nil
}
