package verity

import (
	"fmt"
	"io"
)

// Params are the choices of a tree.
type Params struct {
	Salt     []byte                           // at most 256 bytes
	UUID     func(rootHash [32]byte) [16]byte // of the superblock; nil means zeros
	Parallel int                              // hashing goroutines; 0 means one per CPU
}

// Tree is what Append wrote.
type Tree struct {
	RootHash   [32]byte
	HashOffset int64 // of the superblock, bytes from base: the size of the data
	Size       int64 // of superblock and hash blocks, bytes
}

// ReadWriterAt is a file or device that holds data and takes its tree.
type ReadWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

// Append hashes the data in [base, base+dataSize) of f and writes superblock
// and tree right after it. dataSize is a positive multiple of BlockSize.
// The data is read once; equal data and params give equal bytes.
func Append(f ReadWriterAt, base, dataSize int64, p Params) (Tree, error) {
	if err := checkDataSize(dataSize); err != nil {
		return Tree{}, err
	}
	if len(p.Salt) > maxSaltSize {
		return Tree{}, fmt.Errorf("building verity tree: salt of %d bytes is longer than %d", len(p.Salt), maxSaltSize)
	}
	root, levels, err := build(f, base, dataSize/BlockSize, p)
	if err != nil {
		return Tree{}, fmt.Errorf("building verity tree: %w", err)
	}
	s := Superblock{DataBlocks: uint64(dataSize / BlockSize), Salt: p.Salt}
	if p.UUID != nil {
		s.UUID = p.UUID(root)
	}
	size, err := write(f, base+dataSize, s, levels)
	if err != nil {
		return Tree{}, fmt.Errorf("writing verity tree: %w", err)
	}
	return Tree{RootHash: root, HashOffset: dataSize, Size: size}, nil
}

func checkDataSize(size int64) error {
	if size <= 0 || size%BlockSize != 0 || size/BlockSize > maxDataBlocks {
		return fmt.Errorf("verity data size of %d bytes is not a positive multiple of %d", size, BlockSize)
	}
	return nil
}

// build returns the root hash and the hash blocks of each level, leaves first.
func build(r io.ReaderAt, base, blocks int64, p Params) (root [32]byte, levels [][]byte, err error) {
	sums := make([]byte, blocks*digestSize, max(1, levelSize(blocks)))
	err = eachChunk(r, base, blocks, p.Salt, p.Parallel, func(first int64, part []byte) error {
		copy(sums[first*digestSize:], part)
		return nil
	})
	if err != nil {
		return root, nil, err
	}
	h := newHasher(p.Salt)
	for len(sums) > digestSize {
		level := sums[:levelSize(int64(len(sums)/digestSize))]
		levels = append(levels, level)
		count := int64(len(level) / BlockSize)
		sums = h.digests(make([]byte, 0, levelSize(count)), level)
	}
	return [32]byte(sums), levels, nil
}

// Digests returns the digest of each data block, one after the other.
func Digests(r io.ReaderAt, base, dataSize int64, salt []byte, parallel int) ([]byte, error) {
	if err := checkDataSize(dataSize); err != nil {
		return nil, err
	}
	sums := make([]byte, dataSize/BlockSize*digestSize)
	err := eachChunk(r, base, dataSize/BlockSize, salt, parallel, func(first int64, part []byte) error {
		copy(sums[first*digestSize:], part)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("hashing blocks: %w", err)
	}
	return sums, nil
}

// levelSize is the size of the hash blocks over that many blocks, bytes.
func levelSize(blocks int64) int64 {
	return (blocks + digestsPerHash - 1) / digestsPerHash * BlockSize
}

func write(w io.WriterAt, at int64, s Superblock, levels [][]byte) (size int64, err error) {
	parts := [][]byte{s.encode()}
	for i := len(levels) - 1; i >= 0; i-- {
		parts = append(parts, levels[i])
	}
	for _, part := range parts {
		if _, err := w.WriteAt(part, at+size); err != nil {
			return 0, err
		}
		size += int64(len(part))
	}
	return size, nil
}
