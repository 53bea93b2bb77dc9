package verity

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// CorruptError names the first block that does not hash to what the tree
// above it says.
type CorruptError struct {
	Level int   // 0 is the data, 1 the leaf hash blocks, and so on to the top
	Block int64 // number within the level; of data blocks, from the start of the data
}

func (e *CorruptError) Error() string {
	if e.Level == 0 {
		return fmt.Sprintf("data block %d (bytes %d to %d) is corrupt", e.Block, e.Block*BlockSize, (e.Block+1)*BlockSize-1)
	}
	return fmt.Sprintf("hash block %d of level %d is corrupt or the root hash is another's", e.Block, e.Level-1)
}

// Verify checks the data in [base, base+dataSize) of r, and the superblock
// and tree right after it, against a root hash. A block that does not fit is
// a *CorruptError: the topmost bad level counts, and in it the first block.
func Verify(r io.ReaderAt, base, dataSize int64, root [32]byte) error {
	if err := checkDataSize(dataSize); err != nil {
		return err
	}
	s, err := readSuperblockAt(r, base+dataSize)
	if err != nil {
		return err
	}
	if s.DataSize() != dataSize {
		return fmt.Errorf("verity superblock is for %d bytes of data, not %d", s.DataSize(), dataSize)
	}
	counts := levelBlocks(dataSize / BlockSize)
	at := base + dataSize + BlockSize
	want := root[:]
	for level := len(counts); level > 0; level-- {
		hashes := make([]byte, counts[level-1]*BlockSize)
		if err := readFull(r, hashes, at); err != nil {
			return fmt.Errorf("verity hash level %d: %w", level-1, err)
		}
		if err := compare(bytes.NewReader(hashes), 0, counts[level-1], level, s.Salt, want); err != nil {
			return err
		}
		at += int64(len(hashes))
		want = hashes
	}
	return compare(r, base, dataSize/BlockSize, 0, s.Salt, want)
}

func readSuperblockAt(r io.ReaderAt, off int64) (Superblock, error) {
	b := make([]byte, superblockSize)
	if err := readFull(r, b, off); err != nil {
		return Superblock{}, fmt.Errorf("verity superblock: %w", err)
	}
	s, err := ReadSuperblock(b)
	if err != nil {
		return s, fmt.Errorf("at byte %d: %w", off, err)
	}
	return s, nil
}

// compare hashes count blocks at base and compares with the digests in want.
func compare(r io.ReaderAt, base, count int64, level int, salt, want []byte) error {
	var lock sync.Mutex
	bad := int64(-1)
	err := eachChunk(r, base, count, salt, 0, func(first int64, sums []byte) error {
		i := firstDifference(sums, want[first*digestSize:])
		if i < 0 {
			return nil
		}
		lock.Lock()
		defer lock.Unlock()
		if bad < 0 || first+i < bad {
			bad = first + i
		}
		return nil
	})
	if err != nil {
		return err
	}
	if bad >= 0 {
		return &CorruptError{Level: level, Block: bad}
	}
	return nil
}

// firstDifference is the index of the first digest that differs, or -1.
func firstDifference(sums, want []byte) int64 {
	for i := 0; i < len(sums); i += digestSize {
		if !bytes.Equal(sums[i:i+digestSize], want[i:i+digestSize]) {
			return int64(i / digestSize)
		}
	}
	return -1
}
