package payload

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"path"
	"testing"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/layout"
)

func random(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.UintN(250))
	}
	return out
}

// memory is a file in memory that grows.
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

// imageOf makes a release of some files.
func imageOf(t testing.TB, files map[string][]byte, uki []byte) (Image, []byte) {
	t.Helper()
	tree := fstree.New()
	for name, data := range files {
		putDirs(t, tree, path.Dir(name))
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
	r := delta.Release{RootHash: v.RootHash, Salt: salt, UsrSize: plan.Size(), UKISize: int64(len(uki)), UKIHash: sha256.Sum256(uki)}
	return Image{Release: r, Usr: m, UKI: bytes.NewReader(uki)}, m.data
}

func putDirs(t testing.TB, tree *fstree.Tree, dir string) {
	t.Helper()
	if dir == "." || tree.Get(dir) != nil {
		return
	}
	putDirs(t, tree, path.Dir(dir))
	if err := tree.Put(fstree.Node{Path: dir, Kind: fstree.Dir, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
}

// edited is data with a byte changed in every few hundred.
func edited(data []byte) []byte {
	out := bytes.Clone(data)
	for i := 100; i < len(out); i += 333 {
		out[i]++
	}
	return out
}

func pair(t testing.TB) (old, next Image, nextBytes []byte) {
	t.Helper()
	module, lib, same := random(60_000, 1), random(200_000, 2), random(90_000, 3)
	old, _ = imageOf(t, map[string][]byte{
		"lib/modules/6.12.1-amd64/kernel/a.ko": module, "lib/libx.so.1.2": lib, "bin/same": same, "bin/short": []byte("old"),
		"share/zeros": append(random(4096, 8), make([]byte, 20_000)...),
	}, random(40_000, 4))
	next, nextBytes = imageOf(t, map[string][]byte{
		"lib/modules/6.12.2-amd64/kernel/a.ko": edited(module), "lib/libx.so.1.3": append(edited(lib), "more"...), "bin/same": same,
		"bin/short": []byte("new"), "bin/added": random(5000, 5), "share/other": make([]byte, 30_000),
	}, random(40_000, 6))
	return old, next, nextBytes
}

func TestDelta(t *testing.T) {
	old, next, want := pair(t)
	var first bytes.Buffer
	stats, err := Delta(t.Context(), old, next, &first, Options{Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Usr > 12_000 || stats.Total() != int64(first.Len()) {
		t.Errorf("%+v for some edits and 5000 new bytes, in a file of %d", stats, first.Len())
	}
	var second bytes.Buffer
	if _, err := Delta(t.Context(), old, next, &second, Options{Parallel: 3}); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("two payloads of the same pair differ, %v", err)
	}
	h, err := delta.ParseHead(first.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	slot := &memory{data: make([]byte, len(want))}
	a := delta.Applier{Head: h, Old: old.Usr, OldUKI: old.UKI, OldUKISize: old.Release.UKISize, New: slot}
	if err := a.Slot(t.Context(), 0, delta.FetchFrom(bytes.NewReader(first.Bytes())), nil, layout.VerityUUID); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(slot.data, want) {
		t.Error("the slot has other bytes than the release")
	}
}

func TestProveRefuses(t *testing.T) {
	old, next, _ := pair(t)
	next.Release.RootHash[0]++
	var out bytes.Buffer
	if _, err := Delta(t.Context(), old, next, &out, Options{}); !errors.Is(err, delta.ErrWrongNew) || out.Len() > 0 {
		t.Errorf("%d bytes were written, %v", out.Len(), err)
	}
	if _, err := (twin{bytes.NewReader([]byte{1, 2, 3})}).WriteAt([]byte{9}, 1); !errors.Is(err, errDiffers) {
		t.Error(err)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range [][2]string{
		{"lib/modules/6.12.117+deb13-amd64/kernel/fs/a.ko", "lib/modules/6.12.118+deb13-amd64/kernel/fs/a.ko"},
		{"lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so", "lib/x86_64-linux-gnu/systemd/libsystemd-shared-262.so"},
		{"lib/libssl.so.3.0.17", "lib/libssl.so.3.5"},
	} {
		if key(c[0]) != key(c[1]) {
			t.Errorf("%q and %q", key(c[0]), key(c[1]))
		}
	}
	for _, c := range [][2]string{{"lib/a/x", "lib/b/x"}, {"bin/git", "bin/gist"}, {"lib/modules/6.1/a.ko", "lib/modules/6.1/b.ko"}} {
		if key(c[0]) == key(c[1]) {
			t.Errorf("%q is the key of both %v", key(c[0]), c)
		}
	}
}

func TestPiecesCoverTheirRange(t *testing.T) {
	for _, p := range []piece{{size: 1}, {at: 4096, size: 3 * newPiece, oldSize: 5}, {at: 8, size: 5*newPiece + 1, oldAt: 7, oldSize: 4 * oldPiece}, {size: 2 * newPiece}} {
		at := p.at
		for _, q := range piecesOf(p) {
			if q.at != at || q.size <= 0 || q.size > newPiece || q.oldSize > oldPiece || q.oldSize > 0 && (q.oldAt < p.oldAt || q.oldAt+q.oldSize > p.oldAt+p.oldSize) {
				t.Errorf("%+v has piece %+v", p, q)
			}
			at += q.size
		}
		if at != p.at+p.size {
			t.Errorf("%+v is covered up to %d", p, at)
		}
	}
}
