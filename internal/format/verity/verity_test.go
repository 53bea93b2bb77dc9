package verity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// memory is a ReadWriterAt of growing size.
type memory struct{ data []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(m.data) {
		m.data = append(m.data, make([]byte, end-len(m.data))...)
	}
	return copy(m.data[off:], p), nil
}

var testSalt = []byte("0123456789abcdef0123456789abcdef")

// image returns base bytes of noise, blocks of data, and the tree.
func image(t testing.TB, base, blocks int64, p Params) (*memory, Tree) {
	t.Helper()
	m := &memory{data: make([]byte, base+blocks*BlockSize)}
	src := rand.NewChaCha8([32]byte{byte(blocks)})
	io.ReadFull(src, m.data)
	tree, err := Append(m, base, blocks*BlockSize, p)
	if err != nil {
		t.Fatal(err)
	}
	return m, tree
}

var edgeBlocks = []int64{1, 2, 127, 128, 129, 255, 256, 257, 128 * 128, 128*128 + 1}

func TestVerifyAcceptsWhatAppendWrote(t *testing.T) {
	for _, blocks := range edgeBlocks {
		for _, base := range []int64{0, 12345 * 512} {
			m, tree := image(t, base, blocks, Params{Salt: testSalt})
			if tree.HashOffset != blocks*BlockSize || base+tree.HashOffset+tree.Size != int64(len(m.data)) {
				t.Errorf("%d blocks: tree at %d of %d bytes in a file of %d", blocks, tree.HashOffset, tree.Size, len(m.data))
			}
			if want := TreeSize(blocks * BlockSize); tree.Size != want {
				t.Errorf("%d blocks: wrote %d bytes, TreeSize says %d", blocks, tree.Size, want)
			}
			if err := Verify(m, base, blocks*BlockSize, tree.RootHash); err != nil {
				t.Errorf("%d blocks: %v", blocks, err)
			}
		}
	}
}

func TestRootHashOfOneAndTwoBlocks(t *testing.T) {
	salted := func(block []byte) []byte {
		sum := sha256.Sum256(append(bytes.Clone(testSalt), block...))
		return sum[:]
	}
	m, tree := image(t, 0, 1, Params{Salt: testSalt})
	if want := salted(m.data[:BlockSize]); !bytes.Equal(tree.RootHash[:], want) {
		t.Errorf("root of one block is %x, want %x", tree.RootHash, want)
	}
	m, tree = image(t, 0, 2, Params{Salt: testSalt})
	top := make([]byte, BlockSize)
	copy(top, salted(m.data[:BlockSize]))
	copy(top[32:], salted(m.data[BlockSize:2*BlockSize]))
	if want := salted(top); !bytes.Equal(tree.RootHash[:], want) {
		t.Errorf("root of two blocks is %x, want %x", tree.RootHash, want)
	}
}

func TestAppendIsTheSameForAnyParallelism(t *testing.T) {
	one, tree1 := image(t, 4096, 3000, Params{Salt: testSalt, Parallel: 1})
	many, tree7 := image(t, 4096, 3000, Params{Salt: testSalt, Parallel: 7})
	if tree1 != tree7 || !bytes.Equal(one.data, many.data) {
		t.Error("one and seven goroutines wrote different trees")
	}
}

func TestVerifyNamesTheFlippedBlock(t *testing.T) {
	const base, blocks = 8192, 128*128 + 5
	m, tree := image(t, base, blocks, Params{Salt: testSalt})
	hashes := base + int64(blocks+1)*BlockSize // top level, 2 blocks of level 1, 129 leaves
	for _, c := range []struct {
		at   int64
		want CorruptError
	}{
		{base, CorruptError{0, 0}},
		{base + 4711*BlockSize + 99, CorruptError{0, 4711}},
		{base + blocks*BlockSize - 1, CorruptError{0, blocks - 1}},
		{hashes + 7, CorruptError{3, 0}},
		{hashes + 2*BlockSize + 4000, CorruptError{2, 1}},
		{hashes + 3*BlockSize, CorruptError{1, 0}},
	} {
		m.data[c.at] ^= 0x10
		err := Verify(m, base, blocks*BlockSize, tree.RootHash)
		var got *CorruptError
		if !errors.As(err, &got) || *got != c.want {
			t.Errorf("byte %d flipped: got %v, want %v", c.at, err, &c.want)
		}
		m.data[c.at] ^= 0x10
	}
	m.data[base+9*BlockSize]++
	m.data[base+9000*BlockSize]++
	var got *CorruptError
	if err := Verify(m, base, blocks*BlockSize, tree.RootHash); !errors.As(err, &got) || got.Block != 9 {
		t.Errorf("two bad blocks: got %v, want the first, 9", err)
	}
}

func TestVerifyRefusesAnotherRootHashAndShortFiles(t *testing.T) {
	m, tree := image(t, 0, 300, Params{Salt: testSalt})
	if err := Verify(m, 0, 300*BlockSize, [32]byte{1}); err == nil {
		t.Error("another root hash was accepted")
	}
	if err := Verify(m, 0, 299*BlockSize, tree.RootHash); !errors.Is(err, ErrNoSuperblock) {
		t.Errorf("a wrong data size gives %v", err)
	}
	m.data = m.data[:len(m.data)-1]
	if err := Verify(m, 0, 300*BlockSize, tree.RootHash); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short tree gives %v", err)
	}
}

func TestAppendRefusesBadInput(t *testing.T) {
	m := &memory{data: make([]byte, 8192)}
	for _, size := range []int64{0, -4096, 100, 4097} {
		if _, err := Append(m, 0, size, Params{}); err == nil {
			t.Errorf("%d bytes of data were accepted", size)
		}
	}
	if _, err := Append(m, 0, 8192, Params{Salt: make([]byte, 257)}); err == nil {
		t.Error("a salt of 257 bytes was accepted")
	}
	if _, err := Append(m, 0, 12288, Params{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("more data than the file has gives %v", err)
	}
}

func TestSuperblockAndTable(t *testing.T) {
	uuid := func(root [32]byte) [16]byte { return [16]byte(root[16:]) }
	m, tree := image(t, 0, 200, Params{Salt: testSalt, UUID: uuid})
	s, err := ReadSuperblock(m.data[tree.HashOffset:])
	if err != nil {
		t.Fatal(err)
	}
	if s.UUID != uuid(tree.RootHash) || s.DataBlocks != 200 || !bytes.Equal(s.Salt, testSalt) {
		t.Errorf("read back %+v", s)
	}
	want := fmt.Sprintf("1 /dev/sda3 /dev/sda3 4096 4096 200 201 sha256 %x %s 2 a b", tree.RootHash, hex.EncodeToString(testSalt))
	if got := Table("/dev/sda3", s, tree.RootHash, "a", "b"); got != want {
		t.Errorf("table is\n%s, want\n%s", got, want)
	}
	s.Salt = nil
	want = fmt.Sprintf("1 8:3 8:3 4096 4096 200 201 sha256 %x -", tree.RootHash)
	if got := Table("8:3", s, tree.RootHash); got != want {
		t.Errorf("table is\n%s, want\n%s", got, want)
	}
}

func FuzzReadSuperblock(f *testing.F) {
	f.Add(Superblock{DataBlocks: 7, Salt: testSalt}.encode())
	f.Add(Superblock{DataBlocks: 1}.encode()[:superblockSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadSuperblock(b)
		if err != nil {
			return
		}
		again, err := ReadSuperblock(s.encode())
		if err != nil || again.UUID != s.UUID || again.DataBlocks != s.DataBlocks || !bytes.Equal(again.Salt, s.Salt) {
			t.Fatalf("%+v came back as %+v (%v)", s, again, err)
		}
		if s.DataSize() <= 0 {
			t.Fatalf("data size %d", s.DataSize())
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	const size = 256 << 20
	m := &memory{data: make([]byte, size+TreeSize(size))}
	for _, parallel := range []int{1, 0} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Append(m, 0, size, Params{Salt: testSalt, Parallel: parallel}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
