package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/format/pe/petest"
)

func ukiOf(t testing.TB, initrd []byte, kernelPayload []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w, err := PackInitrd(&packed)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(initrd)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	kernel := make([]byte, 1024)
	copy(kernel[headerMagic:], "HdrS")
	kernel[setupSectors] = 1
	binary.LittleEndian.PutUint32(kernel[payloadOffset:], 16)
	binary.LittleEndian.PutUint32(kernel[payloadSize:], uint32(len(kernelPayload)))
	kernel = append(append(kernel, make([]byte, 16)...), kernelPayload...)
	kernel = append(kernel, "the end of the kernel"...)
	file, err := pe.Build(petest.Stub(), pe.UKI{OSRelease: []byte("ID=x"), Initrd: packed.Bytes(), Kernel: kernel}.Sections())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUnpackAndPack(t *testing.T) {
	initrd, payload := random(400_000, 4), random(9000, 5)
	file := ukiOf(t, initrd, payload)
	u, err := Unpack(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Prove(); err != nil {
		t.Fatal(err)
	}
	if len(u.Parts) != 5 || u.Parts[1].Coding != GoZstd1 || u.Parts[1].Size != 400_000 || u.Parts[3].Size != 9000 {
		t.Errorf("parts %+v", u.Parts)
	}
	content, err := io.ReadAll(io.NewSectionReader(u, 0, u.Size()))
	if err != nil || !bytes.Contains(content, initrd) || !bytes.Contains(content, payload) {
		t.Errorf("%d unpacked bytes, %v", len(content), err)
	}
	var out bytes.Buffer
	p := newPacker(&out, u.Parts)
	for part := range slices.Chunk(content, 1000) {
		if _, err := p.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), file) || [32]byte(p.count.hash.Sum(nil)) != sha256.Sum256(file) {
		t.Error("it does not pack to the same bytes")
	}
	if _, err := p.Write([]byte{1}); err == nil {
		t.Error("took a byte too many")
	}
}

// An initrd of another encoder stays packed.
func TestProveFindsAnotherEncoder(t *testing.T) {
	frame, err := PackWith(random(400_000, 4), nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := pe.Build(petest.Stub(), pe.UKI{Initrd: frame, Kernel: []byte("kernel")}.Sections())
	if err != nil {
		t.Fatal(err)
	}
	u, err := Unpack(bytes.NewReader(file), int64(len(file)))
	if err == nil {
		err = u.Prove()
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(io.NewSectionReader(u, 0, u.Size()))
	if err != nil || !bytes.Equal(content, file) {
		t.Errorf("%d bytes of %d, %v", len(content), len(file), err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(ukiOf(f, random(3000, 1), random(300, 2)), uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, file []byte, at uint16, value byte) {
		if int(at) < len(file) {
			file[at] ^= value
		}
		u, err := Unpack(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		packed := int64(0)
		for _, p := range u.Parts {
			packed += p.Packed
		}
		if packed != int64(len(file)) {
			t.Errorf("parts of %d bytes in a file of %d", packed, len(file))
		}
	})
}
