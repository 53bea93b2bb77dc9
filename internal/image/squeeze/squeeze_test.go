package squeeze

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"testing"

	"wellcar.dev/internal/format/zblock"
)

// packs gives the size of all blocks and their digest, after unpacking each.
func packs(t *testing.T, image []byte, o Options) (size int, digest [32]byte) {
	t.Helper()
	w := zblock.NewWindow(bytes.NewReader(image))
	sum := sha256.New()
	at := 0
	err := Each(t.Context(), bytes.NewReader(image), int64(len(image)), o, func(b Block) error {
		got, err := w.Block(b.Body, len(b.Data))
		if err != nil || !bytes.Equal(got, image[at:at+len(b.Data)]) {
			t.Fatalf("block at %d: %v", at, err)
		}
		at += len(b.Data)
		size += len(b.Body)
		sum.Write(b.Body)
		return nil
	})
	if err != nil || at != len(image) {
		t.Fatalf("%d bytes of %d: %v", at, len(image), err)
	}
	return size, [32]byte(sum.Sum(nil))
}

// words is text of few words, with a run of each kind between.
func words(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	some := random(20_000, 4)
	var out []byte
	for len(out) < n {
		switch r.IntN(30) {
		case 0:
			out = append(out, make([]byte, r.IntN(5000))...)
		case 1:
			out = append(out, random(r.IntN(3000), r.Uint64())...)
		default:
			at := r.IntN(len(some) - 40)
			out = append(out, some[at:at+2+r.IntN(38)]...)
		}
	}
	return out[:n]
}

// What comes out is unpacked to what went in, and does not depend on the
// number of goroutines.
func TestEach(t *testing.T) {
	text := words(400_000)
	for name, image := range map[string][]byte{
		"nothing": {}, "a byte": {7}, "three": {1, 1, 1}, "noise": random(50_000, 9), "zeros": make([]byte, 100_000), "words": text, "words and a bit": text[:Size+1],
	} {
		for _, fast := range []bool{false, true} {
			one, sum := packs(t, image, Options{Parallel: 1, Fast: fast})
			if _, again := packs(t, image, Options{Parallel: 3, Fast: fast}); again != sum {
				t.Errorf("%s: three goroutines make other blocks than one", name)
			}
			if name == "words" && one > len(text)/2 {
				t.Errorf("%s, fast %t: %d bytes became %d", name, fast, len(text), one)
			}
		}
	}
}

// Content that comes again is sent once: near, at the end of the window, and
// far behind it.
func TestAgain(t *testing.T) {
	part := random(100_000, 1)
	alone, _ := packs(t, part, Options{Parallel: 2})
	for _, gap := range []int{0, window - 150_000, window - 50_000, window + 3<<20} {
		image := append(append(bytes.Clone(part), make([]byte, gap)...), part...)
		for _, fast := range []bool{false, true} {
			if size, _ := packs(t, image, Options{Parallel: 2, Fast: fast}); size > alone+gap/1000+20_000 {
				t.Errorf("gap %d, fast %t: %d bytes, alone %d", gap, fast, size, alone)
			}
		}
	}
}

var errStop = errors.New("stop")

func TestStops(t *testing.T) {
	text := words(100_000)
	err := Each(t.Context(), bytes.NewReader(text), int64(len(text)), Options{Parallel: 2}, func(Block) error { return errStop })
	if !errors.Is(err, errStop) {
		t.Error(err)
	}
	if err := Each(t.Context(), bytes.NewReader(text), int64(len(text))+1, Options{Parallel: 2}, func(Block) error { return nil }); err == nil {
		t.Error("an image that ends early was packed")
	}
}
