package ext2_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"wellcar.dev/internal/format/ext2"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return b
}

// write makes a file with the layout in it and holes elsewhere.
func write(t *testing.T, l ext2.Layout) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "fs"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(l.Size); err != nil {
		t.Fatal(err)
	}
	for _, b := range l.Blocks {
		if _, err := f.WriteAt(b.Data, int64(b.Number)*ext2.BlockSize); err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

// TestReadBack compares with e2fsck and debugfs. The sizes reach every kind of
// pointer, and ends of the file system right behind the start of a group.
func TestReadBack(t *testing.T) {
	const group = 32768
	files := []ext2.File{{"empty", 0o644, nil}, {"small", 0o755, []byte("#!/bin/sh\n")}, {"direct", 0o600, noise(12 * 4096)},
		{"single", 0o644, noise(12*4096 + 1)}, {"double", 0o644, noise(6_000_001)}}
	for _, image := range []uint32{1, 5, 1000, group - 1, group, 2*group - 4, 6*group + 1234, 9*group - 1490} {
		t.Run(fmt.Sprint(image), func(t *testing.T) {
			l, err := ext2.Plan(image, files, [16]byte{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(l.Displaced(image)); n > 40 || n < 1 {
				t.Errorf("%d blocks of the image are displaced", n)
			}
			name := write(t, l)
			if out, err := tooltest.Command(t, "e2fsck", "-f", "-n", name).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, f := range files {
				to := filepath.Join(t.TempDir(), "out")
				if out, err := tooltest.Command(t, "debugfs", "-R", "dump "+f.Name+" "+to, name).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, f.Data) {
					t.Errorf("%s: %d bytes, %v", f.Name, len(got), err)
				}
			}
		})
	}
}

func TestPlan(t *testing.T) {
	files := []ext2.File{{"a", 0o755, noise(100_000)}}
	a, err := ext2.Plan(70_000, files, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := ext2.Plan(70_000, files, [16]byte{1})
	if len(a.Blocks) != len(b.Blocks) || a.Size != b.Size {
		t.Error("not the same twice")
	}
	for i := range a.Blocks {
		if a.Blocks[i].Number != b.Blocks[i].Number || !bytes.Equal(a.Blocks[i].Data, b.Blocks[i].Data) {
			t.Fatalf("block %d is not the same twice", a.Blocks[i].Number)
		}
		if n := a.Blocks[i].Number; int64(n) >= a.Size/ext2.BlockSize || i > 0 && n <= a.Blocks[i-1].Number {
			t.Errorf("block %d", n)
		}
	}
	if _, err := ext2.Plan(1, make([]ext2.File, 22), [16]byte{}); err == nil {
		t.Error("more files than inodes")
	}
}
