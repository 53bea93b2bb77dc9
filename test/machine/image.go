// Package machine makes what tests of updates need, small and without a build:
// images, release folders signed by a publisher, and machines made of files.
//
// Limits: the kernels do not start; a machine has one disk with two slots.
package machine

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/format/pe/petest"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/layout"
)

// memory is a file that grows.
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

// Image is a version in memory.
type Image struct {
	payload.Image
	Version string
	Usr     []byte // with its tree
	UKI     []byte
}

// MakeImage makes a version whose /usr has one file of its own.
func MakeImage(t *testing.T, version string) Image {
	t.Helper()
	tree := fstree.New()
	same := make([]byte, 300_000)
	for i := range same {
		same[i] = byte(i * i >> 7)
	}
	for name, data := range map[string][]byte{"a-version": bytes.Repeat([]byte(version), 5000), "b-same": same} {
		if err := tree.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(data)}); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := erofs.Plan(tree, erofs.Options{Label: "usr"})
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{data: make([]byte, plan.Size())}
	if err := plan.WriteTo(m); err != nil {
		t.Fatal(err)
	}
	salt := sha256.Sum256([]byte("salt"))
	v, err := verity.Append(m, 0, plan.Size(), verity.Params{Salt: salt[:], UUID: layout.VerityUUID})
	if err != nil {
		t.Fatal(err)
	}
	uki := makeKernel(t, version, v.RootHash)
	r := delta.Release{RootHash: v.RootHash, Salt: salt, UsrSize: plan.Size(), UKISize: int64(len(uki)), UKIHash: sha256.Sum256(uki)}
	return Image{payload.Image{Release: r, Usr: m, UKI: bytes.NewReader(uki)}, version, m.data, uki}
}

func makeKernel(t *testing.T, version string, rootHash [32]byte) []byte {
	t.Helper()
	uki, err := pe.Build(petest.Stub(), pe.UKI{OSRelease: []byte("VERSION=" + version + "\n"), Cmdline: fmt.Sprintf("quiet verity.usrhash=%x", rootHash), Uname: "6.12",
		Initrd: bytes.Repeat([]byte("initrd of "+version), 300), Kernel: bytes.Repeat([]byte("kernel"), 3000)}.Sections())
	if err != nil {
		t.Fatal(err)
	}
	return uki
}
