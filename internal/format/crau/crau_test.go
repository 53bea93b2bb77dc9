package crau_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"wellcar.dev/internal/format/crau"
	"wellcar.dev/internal/format/crau/crautest"
)

// store is a file in memory.
type store struct{ b []byte }

func (s *store) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(s.b).ReadAt(p, off) }

func (s *store) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(s.b) {
		s.b = append(s.b, make([]byte, need-len(s.b))...)
	}
	return copy(s.b[off:], p), nil
}

// content is partly noise, partly text, partly nothing.
func content(n int) []byte {
	r := mathrand.New(mathrand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b[:n/3] {
		b[i] = byte(r.UintN(256))
	}
	copy(b[n/3:n/2], strings.Repeat("the same words over again; ", n))
	return b
}

func payload(t *testing.T, o crau.Options) (data, usr, kernel, public []byte) {
	t.Helper()
	key, err := crau.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	usr, kernel = content(450*crau.BlockSize), content(70_001)
	var out bytes.Buffer
	s := crau.Source{Partition: bytes.NewReader(usr), Size: int64(len(usr)), Kernel: bytes.NewReader(kernel), KernelLen: int64(len(kernel))}
	if _, err := crau.Write(t.Context(), &out, &store{}, s, key, o); err != nil {
		t.Fatal(err)
	}
	if public, err = key.MarshalPublic(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), usr, kernel, public
}

func TestRoundTrip(t *testing.T) {
	for _, o := range []crau.Options{{}, {Fast: true, Parallel: 1}} {
		data, usr, kernel, public := payload(t, o)
		disk := &store{bytes.Repeat([]byte{0xee}, len(usr)+5000)}
		got, m, err := crautest.Apply(bytes.NewReader(data), disk, public)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, kernel) || !bytes.Equal(disk.b[:len(usr)], usr) || disk.b[len(usr)] != 0xee {
			t.Errorf("%+v: other bytes came out", o)
		}
		if !o.Fast && len(data) > len(usr)/2 || m.PartitionInfo.Size != uint64(len(usr)) {
			t.Errorf("%+v: %d bytes for %d, %+v", o, len(data), len(usr), m.PartitionInfo)
		}
	}
}

func TestEveryByteCounts(t *testing.T) {
	data, usr, _, public := payload(t, crau.Options{Fast: true})
	for _, at := range []int{0, 19, 100, len(data) / 3, len(data) - 1} {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		if _, _, err := crautest.Apply(bytes.NewReader(bad), &store{make([]byte, len(usr))}, public); err == nil {
			t.Errorf("byte %d was changed and it was applied", at)
		}
	}
	for _, n := range []int{10, len(data) / 2, len(data) - 1} {
		if _, _, err := crautest.Apply(bytes.NewReader(data[:n]), &store{make([]byte, len(usr))}, public); err == nil {
			t.Errorf("%d of %d bytes were applied", n, len(data))
		}
	}
	_, _, _, other := payload(t, crau.Options{Fast: true})
	if _, _, err := crautest.Apply(bytes.NewReader(data), &store{make([]byte, len(usr))}, other); err == nil || !strings.Contains(err.Error(), "no signature by that key") {
		t.Error(err)
	}
}

// TestWire compares with bytes that were worked out by hand from the field
// numbers.
func TestWire(t *testing.T) {
	data, _, _, _ := payload(t, crau.Options{Fast: true})
	if string(data[:4]) != "CrAU" || binary.BigEndian.Uint64(data[4:]) != 1 {
		t.Fatalf("%x", data[:20])
	}
	size := binary.BigEndian.Uint64(data[12:])
	manifest := data[20 : 20+size]
	if manifest[0] != 1<<3|2 { // partition_operations
		t.Errorf("the manifest begins with %x", manifest[:8])
	}
	hole := []byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x10, 0x01}
	blocks := []byte{3 << 3, 0x80, 0x20}
	if !bytes.Contains(manifest, hole) || !bytes.Contains(manifest, blocks) {
		t.Error("no operation that skips the signatures, or no size of blocks")
	}
	end := data[len(data)-264:]
	if !bytes.HasPrefix(end, []byte{0x0a, 0x85, 0x02, 0x08, 0x02, 0x12, 0x80, 0x02}) {
		t.Errorf("the signatures begin with %x", end[:8])
	}
}

func TestKeys(t *testing.T) {
	key, err := crau.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data, err := key.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := crau.ParseKey(data)
	if err != nil || again.Size() != 256 {
		t.Errorf("%d, %v", again.Size(), err)
	}
	for _, bad := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := crau.ParseKey([]byte(bad)); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

func TestRefused(t *testing.T) {
	key, err := crau.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []crau.Source{{}, {Partition: &store{}, Size: 5, Kernel: &store{}, KernelLen: 1}, {Partition: &store{}, Size: crau.BlockSize, Kernel: &store{}, KernelLen: 1}} {
		if _, err := crau.Write(t.Context(), &bytes.Buffer{}, &store{}, s, key, crau.Options{}); err == nil {
			t.Errorf("%+v was written", s)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte{1<<3 | 2, 2, 8, 1})
	f.Fuzz(func(_ *testing.T, data []byte) {
		crau.ParseManifest(data)
		crau.ParseHead(data)
	})
}
