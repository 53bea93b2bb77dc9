// Package crautest applies payloads as update_engine does, for tests: rule for
// rule after payload_processor.cc, delta_performer.cc and
// filesystem_copier_action.cc of https://github.com/flatcar/update_engine.
package crautest

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
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
	s := &stream{in: bufio.NewReaderSize(payload, 1<<20), signed: sha256.New()}
	if m, err = s.manifest(); err != nil {
		return nil, m, err
	}
	file := &memory{}
	if err := s.operations(m.Partition, partition, 0); err != nil {
		return nil, m, err
	}
	if err := s.operations(m.Kernel, file, len(m.Partition)); err != nil {
		return nil, m, err
	}
	if err := s.signatures(m, key); err != nil {
		return nil, m, err
	}
	if kernel, err = checkKernel(file.data, m.KernelInfo); err != nil {
		return nil, m, err
	}
	if err := checkPartition(partition, m.PartitionInfo); err != nil {
		return nil, m, err
	}
	return kernel, m, nil
}

// stream is a payload that is read.
type stream struct {
	in     *bufio.Reader
	signed hash.Hash // of what was taken
	offset uint64    // in the data of the operations
}

func (s *stream) take(n int64) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(s.in, b)
	s.signed.Write(b)
	return b, err
}

func (s *stream) manifest() (m crau.Manifest, err error) {
	head, err := s.take(crau.HeadSize)
	if err != nil {
		return m, err
	}
	size, err := crau.ParseHead(head)
	if err != nil {
		return m, err
	}
	manifest, err := s.take(size)
	if err != nil {
		return m, err
	}
	return crau.ParseManifest(manifest)
}

// operations does those of one file; first is the number of the first of them.
func (s *stream) operations(all []crau.Operation, to io.WriterAt, first int) error {
	for i, op := range all {
		if op.Length > 0 && uint64(op.Offset) != s.offset {
			return fmt.Errorf("operation %d skips to %d, expected %d", first+i, op.Offset, s.offset)
		}
		data, err := s.take(int64(op.Length))
		if err != nil {
			return err
		}
		if err := perform(op, data, to); err != nil {
			return fmt.Errorf("operation %d: %w", first+i, err)
		}
		s.offset += uint64(op.Length)
	}
	return nil
}

// signatures verifies all that was taken by what is left.
func (s *stream) signatures(m crau.Manifest, key []byte) error {
	if m.SignatureOffset != s.offset {
		return fmt.Errorf("signatures at %d, expected %d", m.SignatureOffset, s.offset)
	}
	signatures, err := io.ReadAll(s.in)
	if err != nil {
		return err
	}
	if uint64(len(signatures)) != m.SignatureSize {
		return fmt.Errorf("%d bytes at the end, expected %d", len(signatures), m.SignatureSize)
	}
	return crau.VerifySignatures(signatures, s.signed.Sum(nil), key)
}

func checkKernel(data []byte, want crau.Info) ([]byte, error) {
	if want.Size > uint64(len(data)) {
		return nil, fmt.Errorf("a kernel of %d bytes, expected %d", len(data), want.Size)
	}
	data = data[:want.Size]
	if got := sha256.Sum256(data); !bytes.Equal(got[:], want.SHA256) {
		return nil, errors.New("the kernel is another")
	}
	return data, nil
}

func checkPartition(partition io.ReaderAt, want crau.Info) error {
	again := sha256.New()
	if _, err := io.Copy(again, io.NewSectionReader(partition, 0, int64(want.Size))); err != nil {
		return err
	}
	if !bytes.Equal(again.Sum(nil), want.SHA256) {
		return errors.New("the partition is another")
	}
	return nil
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
