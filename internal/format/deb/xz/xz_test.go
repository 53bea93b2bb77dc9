package xz

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	peer "github.com/therootcompany/xz"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

const maxDict = 1 << 26

func decompress(raw []byte) ([]byte, error) {
	z, err := NewReader(bytes.NewReader(raw), maxDict)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// samples are files that xz made: each check, several blocks, odd properties,
// data that does not compress, several streams with padding.
func samples(t testing.TB) map[string][]byte {
	names, err := filepath.Glob("testdata/*.xz")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		if all[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestRead(t *testing.T) {
	for name, raw := range samples(t) {
		z, err := peer.NewReader(bytes.NewReader(raw), maxDict)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decompress(raw)
		if name == "x86.xz" {
			if err == nil || !strings.Contains(err.Error(), "filter") {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %d bytes, want %d", name, err, len(got), len(want))
		}
	}
}

func TestReset(t *testing.T) {
	all := samples(t)
	want, err := decompress(all["crc64.xz"])
	if err != nil {
		t.Fatal(err)
	}
	z, err := NewReader(bytes.NewReader(all["stored.xz"]), maxDict)
	if err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, z, 100)
	if err := z.Reset(bytes.NewReader(all["crc64.xz"])); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after a reset: %v, %d bytes, want %d", err, len(got), len(want))
	}
}

// Every damaged byte and every cut is noticed.
func TestDamaged(t *testing.T) {
	raw := samples(t)["sha256-odd.xz"]
	for i := 0; i < len(raw); i += 37 {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x10
		if _, err := decompress(bad); err == nil {
			t.Errorf("a changed byte %d was not noticed", i)
		}
		if _, err := decompress(raw[:i]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a cut at byte %d: got %v", i, err)
		}
	}
}

func TestDictionaryLimit(t *testing.T) {
	_, err := NewReader(bytes.NewReader(samples(t)["crc64.xz"]), 1<<20)
	if err == nil || !strings.Contains(err.Error(), "dictionary of 8388608 bytes") {
		t.Errorf("got %v", err)
	}
}

// What xz makes with several settings comes back; the data is larger than the
// windows, so that they move.
func TestXZ(t *testing.T) {
	data := make([]byte, 0, 5<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for len(data) < cap(data)-1000 {
		back, n := 1+random.IntN(1+random.IntN(1+len(data))), random.IntN(900)
		if back > len(data) || n%3 == 0 {
			data = append(data, byte(n), byte(n>>3), byte(random.Uint32()))
			continue
		}
		for range n {
			data = append(data, data[len(data)-back])
		}
	}
	for _, args := range []string{"-0", "-1 --check=crc32 -T2", "--lzma2=preset=1,dict=64KiB,lc=0,lp=4,pb=0"} {
		cmd := tooltest.Command(t, "xz", append(strings.Fields(args), "-c")...)
		cmd.Stdin = bytes.NewReader(data)
		raw, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decompress(raw); err != nil || !bytes.Equal(got, data) {
			t.Errorf("xz %s: %v, %d bytes, want %d", args, err, len(got), len(data))
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, raw := range samples(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := decompress(raw)
		if err != nil {
			return
		}
		z, err := peer.NewReader(bytes.NewReader(raw), maxDict)
		if err != nil {
			t.Fatalf("the peer refuses: %v", err)
		}
		if want, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, the peer has %d, %v", len(got), len(want), err)
		}
	})
}

// FuzzChunk feeds the decoder itself, past the checksums.
func FuzzChunk(f *testing.F) {
	f.Add([]byte("\xe0\x00\x10\x00\x20\x5d\x00abcdefghijklmnopqrstuvwxyz0123456789\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d decoder
		d.reset(4096)
		in := &counter{Reader: bufio.NewReader(bytes.NewReader(raw))}
		for range 50 {
			if d.fill(in) != nil || d.finished {
				return
			}
			d.take(make([]byte, len(d.out)))
		}
	})
}
