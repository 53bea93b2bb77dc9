package disk

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

func TestCopyRange(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	f, err := os.Create(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := make([]byte, 4<<20)
	for _, at := range []int{0, 1 << 20, 1<<20 + 4096, 3<<20 - 1} {
		copy(want[at:], "data")
		if _, err := f.WriteAt([]byte("data"), int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(int64(len(want))); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{0, 1 << 62}, {1, 2 << 20}, {1<<20 + 2, 1}, {2 << 20, 4096}, {3 << 20, 1 << 20}, {4 << 20, 0}} {
		if err := CopyRange(to, from, r[0], r[1]); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(to)
		if end := min(int64(len(want)), r[0]+r[1]); err != nil || !bytes.Equal(got, want[r[0]:end]) {
			t.Errorf("range %v: %d bytes differ, %v", r, len(got), err)
		}
		if err := os.Remove(to); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFlip(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Flip(name, 1); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "a\x9dc" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Sum must not see how an image is laid out in its file.
func TestSum(t *testing.T) {
	dir := t.TempDir()
	data := make([]byte, 3<<20+5)
	copy(data[1<<20:], "data")
	data[len(data)-1] = 1
	sum := func(data []byte, holes bool) [32]byte {
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Truncate(int64(len(data)))
		for at := 0; at < len(data); at += 4096 {
			block := data[at:min(at+4096, len(data))]
			if !holes || !bytes.Equal(block, make([]byte, len(block))) {
				f.WriteAt(block, int64(at))
			}
		}
		h := sha256.New()
		if err := Sum(h, f); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
	want := sum(data, false)
	if sum(data, true) != want {
		t.Error("holes change the sum")
	}
	data[2<<20] = 1
	if sum(data, true) == want {
		t.Error("a changed byte does not change the sum")
	}
}
