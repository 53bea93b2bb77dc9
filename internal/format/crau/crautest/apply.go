// Package crautest applies payloads as update_engine does, for tests: rule for
// rule after payload_processor.cc, delta_performer.cc and
// filesystem_copier_action.cc of https://github.com/flatcar/update_engine.
package crautest

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"crypto/sha256"
	"fmt"
	"io"

	"wellcar.dev/internal/format/crau"
)

// Target is what a machine lets a payload write.
type Target interface {
	io.ReaderAt
	io.WriterAt
}

// Apply reads a payload once, from its first byte to its last, and writes
// what it says as it comes; then it verifies, and reads the partition again.
// It returns the kernel's file.
func Apply(payload io.Reader, partition Target, key []byte) (kernel []byte, m crau.Manifest, err error) {
	sum := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(payload, sum), 1<<20)
	signed := sha256.New()
	take := func(n int64) ([]byte, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(in, b)
		signed.Write(b)
		return b, err
	}
	head, err := take(crau.HeadSize)
	if err != nil {
		return nil, m, err
	}
	size, err := crau.ParseHead(head)
	if err != nil {
		return nil, m, err
	}
	manifest, err := take(size)
	if err != nil {
		return nil, m, err
	}
	if m, err = crau.ParseManifest(manifest); err != nil {
		return nil, m, err
	}
	file := &memory{}
	offset := uint64(0)
	for i, op := range append(append([]crau.Operation(nil), m.Partition...), m.Kernel...) {
		var to io.WriterAt = partition
		if i >= len(m.Partition) {
			to = file
		}
		if op.Length > 0 && uint64(op.Offset) != offset {
			return nil, m, fmt.Errorf("operation %d skips to %d, expected %d", i, op.Offset, offset)
		}
		data, err := take(int64(op.Length))
		if err != nil {
			return nil, m, err
		}
		if err := perform(op, data, to); err != nil {
			return nil, m, fmt.Errorf("operation %d: %w", i, err)
		}
		offset += uint64(op.Length)
	}
	if m.SignatureOffset != offset {
		return nil, m, fmt.Errorf("signatures at %d, expected %d", m.SignatureOffset, offset)
	}
	hash := signed.Sum(nil)
	signatures, err := io.ReadAll(in)
	if err != nil {
		return nil, m, err
	}
	if uint64(len(signatures)) != m.SignatureSize {
		return nil, m, fmt.Errorf("%d bytes at the end, expected %d", len(signatures), m.SignatureSize)
	}
	if err := crau.VerifySignatures(signatures, hash, key); err != nil {
		return nil, m, err
	}
	if m.KernelInfo.Size > uint64(len(file.data)) {
		return nil, m, fmt.Errorf("a kernel of %d bytes, expected %d", len(file.data), m.KernelInfo.Size)
	}
	kernel = file.data[:m.KernelInfo.Size]
	if got := sha256.Sum256(kernel); !bytes.Equal(got[:], m.KernelInfo.SHA256) {
		return nil, m, fmt.Errorf("the kernel is another")
	}
	again := sha256.New()
	if _, err := io.Copy(again, io.NewSectionReader(partition, 0, int64(m.PartitionInfo.Size))); err != nil {
		return nil, m, err
	}
	if !bytes.Equal(again.Sum(nil), m.PartitionInfo.SHA256) {
		return nil, m, fmt.Errorf("the partition is another")
	}
	return kernel, m, nil
}

// perform writes the data into the extents and fills the last block up.
func perform(op crau.Operation, data []byte, to io.WriterAt) error {
	if sum := sha256.Sum256(data); !bytes.Equal(sum[:], op.SHA256) {
		return fmt.Errorf("its data is other data")
	}
	switch op.Type {
	case crau.Replace:
	case crau.ReplaceBzip2:
		var err error
		if data, err = io.ReadAll(bzip2.NewReader(bytes.NewReader(data))); err != nil {
			return err
		}
	default:
		return fmt.Errorf("type %d", op.Type)
	}
	for _, e := range op.Extents {
		n := int(e.Blocks * crau.BlockSize)
		piece := make([]byte, n)
		data = data[copy(piece, data):]
		if _, err := to.WriteAt(piece, int64(e.Start*crau.BlockSize)); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		return fmt.Errorf("%d bytes do not fit its extents", len(data))
	}
	return nil
}

// memory is a file that grows.
type memory struct{ data []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.data) {
		m.data = append(m.data, make([]byte, need-len(m.data))...)
	}
	return copy(m.data[off:], p), nil
}
