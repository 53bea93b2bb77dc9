package erofs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
)

// target is an io.WriterAt that starts full of old bytes.
type target struct{ data []byte }

func newTarget(size int64) *target { return &target{bytes.Repeat([]byte{0xee}, int(size))} }

func (m *target) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m.data)) {
		return 0, fmt.Errorf("write of %d bytes at %d is outside of %d", len(p), off, len(m.data))
	}
	return copy(m.data[off:], p), nil
}

var testOptions = Options{UUID: [16]byte{1, 2, 3, 15: 16}, Label: "wellcar-usr", BuildTime: 1_700_000_000}

// imageOf writes a tree to memory.
func imageOf(t testing.TB, tree *fstree.Tree, opt Options) []byte {
	t.Helper()
	l, err := Plan(tree, opt)
	if err != nil {
		t.Fatal(err)
	}
	w := newTarget(l.Size())
	if err := l.WriteTo(w); err != nil {
		t.Fatal(err)
	}
	return w.data
}

func readTree(t testing.TB, image []byte) *fstree.Tree {
	t.Helper()
	r, err := Open(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := r.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func treeOf(t testing.TB, nodes ...fstree.Node) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for _, n := range nodes {
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func file(name string, content []byte) fstree.Node {
	return fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(content)}
}

func noise(size int, seed byte) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{seed, byte(size)}).Read(b)
	return b
}

// view is what a node is in an image, in a form to compare.
type view struct {
	Kind     fstree.Kind
	Mode     uint32
	UID, GID uint32
	Target   string
	Size     int64
	Sum      [32]byte
	Device   [2]uint32
	Xattrs   map[string]string
	Twins    string // the first of all names of the inode
}

// views reads all contents, so that a wrong hash is found.
func views(t testing.TB, tree *fstree.Tree) map[string]view {
	t.Helper()
	out := map[string]view{}
	first := map[string]string{}
	for _, n := range tree.Nodes() {
		name := n.Path
		for n.LinkTo != "" {
			n = tree.Get(n.LinkTo)
		}
		if first[n.Path] == "" {
			first[n.Path] = name
		}
		v := view{Kind: n.Kind, Mode: n.Mode, UID: n.UID, GID: n.GID, Target: n.Target, Device: [2]uint32{n.Major, n.Minor}, Twins: first[n.Path]}
		if n.Kind == fstree.File {
			content := []byte{}
			if n.Blob.Size > 0 {
				var err error
				if content, err = n.Blob.Bytes(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			v.Size, v.Sum = n.Blob.Size, sha256.Sum256(content)
			if n.Blob.SHA256 != v.Sum {
				t.Errorf("%s: hash in the tree is not that of the content", name)
			}
		}
		for k, x := range n.Xattrs {
			if v.Xattrs == nil {
				v.Xattrs = map[string]string{}
			}
			v.Xattrs[k] = string(x)
		}
		out[name] = v
	}
	return out
}

// roundTrip checks that an image reads back as the tree it was written from,
// and that writing what was read gives the same image.
func roundTrip(t *testing.T, tree *fstree.Tree) []byte {
	t.Helper()
	image := imageOf(t, tree, testOptions)
	back := readTree(t, image)
	if diff := cmp.Diff(views(t, tree), views(t, back)); diff != "" {
		t.Fatalf("read back differs (-wrote +read):\n%.3000s", diff)
	}
	if again := imageOf(t, back, testOptions); !bytes.Equal(again, image) {
		t.Fatal("the image of the tree read back differs")
	}
	return image
}

// sampleTree has at least one of everything.
func sampleTree(t testing.TB) *fstree.Tree {
	capability := map[string][]byte{"security.capability": []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")}
	label := map[string][]byte{"security.selinux": []byte("system_u:object_r:usr_t:s0\x00"), "user.empty": {}}
	tree := treeOf(t,
		fstree.Node{Path: ".", Kind: fstree.Dir, Mode: 0o755, Xattrs: label},
		file("empty", nil),
		file("one", []byte{1}),
		file("just-inline", noise(maxInline, 1)),
		file("just-block", noise(maxInline+1, 1)),
		file("block-1", noise(BlockSize-1, 1)),
		file("block", noise(BlockSize, 1)),
		file("block+1", noise(BlockSize+1, 1)),
		file("window", noise(windowSize, 1)),
		file("large", noise(2*windowSize+5000, 1)),
		file("large-copy", noise(2*windowSize+5000, 1)),
		file("dir/sub/deep", noise(777, 2)),
		file("dir.d/x", noise(778, 2)),
		file("dir/"+strings.Repeat("n", 255), noise(779, 2)),
		file("dir/-before-dot", nil),
		file("dir/\xff\xfe", nil),
		fstree.Node{Path: "sticky", Kind: fstree.Dir, Mode: 0o1777, UID: 1, GID: 70000},
		fstree.Node{Path: "setuid", Kind: fstree.File, Mode: 0o4755, UID: 70000, Blob: fstree.BytesBlob(noise(3000, 5)), Xattrs: capability},
		fstree.Node{Path: "small-ext", Kind: fstree.File, Mode: 0o2755, GID: 1 << 31, Blob: fstree.BytesBlob(noise(300, 5)), Xattrs: label},
		fstree.Node{Path: "link", Kind: fstree.Symlink, Mode: 0o777, Target: "dir/sub/deep"},
		fstree.Node{Path: "link-long", Kind: fstree.Symlink, Mode: 0o777, Target: strings.Repeat("t", maxTarget)},
		fstree.Node{Path: "link-xattr", Kind: fstree.Symlink, Mode: 0o777, Target: strings.Repeat("t", 4000), Xattrs: map[string][]byte{"trusted.overlay.x": noise(300, 6)}},
		fstree.Node{Path: "null", Kind: fstree.CharDevice, Mode: 0o666, Major: 1, Minor: 3},
		fstree.Node{Path: "disk", Kind: fstree.BlockDevice, Mode: 0o660, GID: 6, Major: 4095, Minor: 1<<20 - 1},
		fstree.Node{Path: "pipe", Kind: fstree.Fifo, Mode: 0o600},
		fstree.Node{Path: "xattr-large", Kind: fstree.File, Mode: 0o600, Blob: fstree.BytesBlob(noise(100, 7)), Xattrs: map[string][]byte{"user.large": noise(20000, 8), "user.b": noise(5000, 9)}},
		fstree.Node{Path: "zz-after", Kind: fstree.File, Mode: 0o600, Blob: fstree.BytesBlob(noise(100, 8))},
	)
	for _, links := range [][2]string{{"aa-link", "large"}, {"dir/sub/hard", "one"}, {"zz-hard", "dir/sub/hard"}, {"null2", "null"}} {
		n := *tree.Get(links[1])
		n.Path, n.LinkTo = links[0], links[1]
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func TestRoundTrip(t *testing.T) {
	roundTrip(t, fstree.New())
	roundTrip(t, sampleTree(t))
}

func TestLargeDirectory(t *testing.T) {
	tree := fstree.New()
	for i := range 10_000 {
		name := fmt.Sprintf("large/%d-%s", i, strings.Repeat("x", i%200))
		if err := tree.Put(file(name, []byte(name)[:i%40])); err != nil {
			t.Fatal(err)
		}
	}
	roundTrip(t, tree)
}

func randomTree(t testing.TB, rng *rand.Rand) *fstree.Tree {
	tree := fstree.New()
	dirs, files := []string{"."}, []string{}
	for range rng.IntN(200) {
		length := 1 + rng.IntN(12)
		if rng.IntN(10) == 0 {
			length = 1 + rng.IntN(255)
		}
		var name strings.Builder
		for range length {
			name.WriteByte("abcdefgh-._ \xc3"[rng.IntN(13)])
		}
		if name.String() == "." || name.String() == ".." {
			continue
		}
		at := fstree.Clean(dirs[rng.IntN(len(dirs))] + "/" + name.String())
		if tree.Get(at) != nil {
			continue
		}
		n := fstree.Node{Path: at, Kind: fstree.Kind(rng.IntN(6)), Mode: rng.Uint32N(0o10000), UID: rng.Uint32() >> rng.IntN(32), GID: rng.Uint32() >> rng.IntN(32)}
		switch n.Kind {
		case fstree.Dir:
			dirs = append(dirs, at)
		case fstree.File:
			n.Blob = fstree.BytesBlob(noise(rng.IntN(1<<rng.IntN(16)), byte(rng.IntN(3))))
			files = append(files, at)
		case fstree.Symlink:
			n.Target = strings.Repeat("x", 1+rng.IntN(1<<rng.IntN(12)))
		case fstree.CharDevice, fstree.BlockDevice:
			n.Major, n.Minor = rng.Uint32N(1<<12), rng.Uint32N(1<<20)
		case fstree.Fifo:
			if len(files) > 0 {
				other := files[rng.IntN(len(files))]
				n = *tree.Get(other)
				n.Path, n.LinkTo = at, other
			}
		}
		if n.LinkTo == "" && rng.IntN(4) == 0 {
			n.Xattrs = map[string][]byte{}
			for range rng.IntN(4) {
				prefix := xattrPrefixes[rng.IntN(len(xattrPrefixes))].prefix
				if strings.HasSuffix(prefix, ".") {
					prefix += strings.Repeat("n", 1+rng.IntN(40))
				}
				n.Xattrs[prefix] = noise(rng.IntN(1<<rng.IntN(10)), byte(rng.IntN(2)))
			}
		}
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func TestRandomTreesRoundTrip(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			roundTrip(t, randomTree(t, rand.New(rand.NewPCG(seed, 1))))
		})
	}
}

func TestSameBytesForAnyOrderAndParallelism(t *testing.T) {
	want := imageOf(t, sampleTree(t), testOptions)
	for seed := range uint64(5) {
		nodes := sampleTree(t).Nodes()
		rand.New(rand.NewPCG(seed, 2)).Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		tree := fstree.New()
		for _, n := range nodes {
			if err := tree.Put(*n); err != nil {
				t.Fatal(err)
			}
		}
		opt := testOptions
		opt.Parallel = int(seed) + 1
		if !bytes.Equal(imageOf(t, tree, opt), want) {
			t.Fatalf("order %d gives other bytes", seed)
		}
	}
}

func TestEqualContentIsStoredOnce(t *testing.T) {
	content := noise(10_000, 1)
	unknown := fstree.Blob{Source: bytes.NewReader(content), Size: 10_000}
	tree := treeOf(t, file("a", content), file("b", content), file("c", content[:9_999]),
		fstree.Node{Path: "d", Kind: fstree.File, Blob: unknown}, fstree.Node{Path: "e", Kind: fstree.File, Blob: unknown})
	l, err := Plan(tree, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range l.Extents {
		got = append(got, e.Path)
	}
	if diff := cmp.Diff([]string{"a", "c", "d", "e"}, got); diff != "" {
		t.Errorf("stored contents (-want +got):\n%s", diff)
	}
	if l.Stats.SharedBytes != 10_000 || l.Stats.Inodes != 6 || l.Size() != int64(len(l.Meta))+4*3*BlockSize {
		t.Errorf("size %d, %+v", l.Size(), l.Stats)
	}
}

func TestSuperblock(t *testing.T) {
	image := imageOf(t, sampleTree(t), testOptions)
	size, err := DataSize(image[SuperblockOffset : SuperblockOffset+SuperblockSize])
	if err != nil || size != int64(len(image)) {
		t.Errorf("DataSize is %d, %v, of an image of %d", size, err, len(image))
	}
	r, err := Open(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if r.UUID != testOptions.UUID || r.Label != testOptions.Label || r.BuildTime != testOptions.BuildTime {
		t.Errorf("superblock reads back as %+v", r.Superblock)
	}
	image[SuperblockOffset+SuperblockSize]++
	if _, err := Open(bytes.NewReader(image)); err == nil {
		t.Error("a wrong checksum was accepted")
	}
	if _, err := DataSize(make([]byte, SuperblockSize)); !errors.Is(err, ErrNoSuperblock) {
		t.Errorf("zeros give %v", err)
	}
}

// zeros is a source of any size.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

func TestFileOver4GiB(t *testing.T) {
	const size = 1<<32 + 5
	tree := treeOf(t, fstree.Node{Path: "large", Kind: fstree.File, Mode: 0o644, Blob: fstree.Blob{Source: zeros{}, Size: size}},
		file("next", noise(5000, 1)))
	l, err := Plan(tree, Options{Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	if e := l.Extents[1]; e.Path != "next" || e.Offset != roundUp(l.Extents[0].Offset+size, BlockSize) {
		t.Errorf("second extent is %s at %d", e.Path, e.Offset)
	}
	r, err := Open(bytes.NewReader(l.Meta))
	if err != nil {
		t.Fatal(err)
	}
	in, err := r.inode(uint64(r.rootNID) + 3) // after the root and its four names
	if err != nil || in.size != size || !in.extended {
		t.Errorf("inode is %+v, %v", in, err)
	}
}

func TestPlanRefuses(t *testing.T) {
	onFile := treeOf(t, file("a/b", nil))
	if err := onFile.Put(file("a", nil)); err != nil {
		t.Fatal(err)
	}
	link := func(name, to string) fstree.Node { return fstree.Node{Path: name, Kind: fstree.File, LinkTo: to} }
	for want, tree := range map[string]*fstree.Tree{
		"a is not a directory":     onFile,
		"which does not exist":     treeOf(t, link("a", "b")),
		"goes in a circle":         treeOf(t, link("a", "b"), link("b", "a")),
		"to directory d":           treeOf(t, file("d/x", nil), link("a", "d")),
		"is not 1 to 255 bytes":    treeOf(t, file(strings.Repeat("n", 256), nil)),
		"is not 1 to 4095 bytes":   treeOf(t, fstree.Node{Path: "l", Kind: fstree.Symlink}),
		"more than permission":     treeOf(t, fstree.Node{Path: "m", Kind: fstree.File, Mode: 0o100644}),
		"has no source":            treeOf(t, fstree.Node{Path: "m", Kind: fstree.File, Blob: fstree.Blob{Size: 1}}),
		`"system.foo" is not supp`: treeOf(t, fstree.Node{Path: "m", Kind: fstree.File, Xattrs: map[string][]byte{"system.foo": nil}}),
		`"user." is not supported`: treeOf(t, fstree.Node{Path: "m", Kind: fstree.File, Xattrs: map[string][]byte{"user.": nil}}),
		"out of range":             treeOf(t, fstree.Node{Path: "m", Kind: fstree.CharDevice, Major: 4096}),
	} {
		if _, err := Plan(tree, testOptions); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := Plan(fstree.New(), Options{Label: strings.Repeat("l", 17)}); err == nil {
		t.Error("a label of 17 bytes was accepted")
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	for _, size := range []int64{10, 100_000} {
		tree := treeOf(t, fstree.Node{Path: "usr/short", Kind: fstree.File, Blob: fstree.Blob{Source: strings.NewReader("xy"), Size: size}})
		_, err := Write(newTarget(1<<20), tree, testOptions)
		if err == nil || !strings.Contains(err.Error(), "usr/short: ") {
			t.Errorf("a source that is too short gives %v", err)
		}
	}
	if _, err := Write(newTarget(100), sampleTree(t), testOptions); err == nil {
		t.Error("a failing target gives no error")
	}
}

func TestProgressEndsAtTheSize(t *testing.T) {
	opt := testOptions
	var last, total int64
	opt.Progress = func(d, n int64) {
		if d <= last {
			t.Errorf("progress went from %d to %d", last, d)
		}
		last, total = d, n
	}
	if image := imageOf(t, sampleTree(t), opt); last != int64(len(image)) || total != last {
		t.Errorf("progress ended at %d of %d for %d bytes", last, total, len(image))
	}
}

func TestJoinedReadsLikeOneRange(t *testing.T) {
	content := noise(10_000, 3)
	src := append(append(append([]byte("head"), content[8192:]...), "gap"...), content[:8192]...)
	j := joined{bytes.NewReader(src), int64(len(src)) - 8192, 8192, 4, 10_000 - 8192}
	got, err := io.ReadAll(io.NewSectionReader(j, 0, 10_000))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	for _, off := range []int64{0, 8191, 8192, 8193, 9_999} {
		b := make([]byte, 1)
		if _, err := j.ReadAt(b, off); err != nil || b[0] != content[off] {
			t.Errorf("byte %d is %d, %v", off, b[0], err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(imageOf(f, treeOf(f, file("a", noise(100, 1)), file("d/b", noise(5000, 1)),
		fstree.Node{Path: "l", Kind: fstree.Symlink, Target: "a"},
		fstree.Node{Path: "x", Kind: fstree.File, Xattrs: map[string][]byte{"user.a": {1}, "user.b": {2}}},
		fstree.Node{Path: "y", Kind: fstree.File, Xattrs: map[string][]byte{"user.a": {1}}}), testOptions))
	f.Fuzz(func(t *testing.T, image []byte) {
		if len(image) >= BlockSize { // let changes through to what the checksum guards
			sum := checksum(image[SuperblockOffset:BlockSize])
			copy(image[SuperblockOffset+4:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		}
		r, err := Open(bytes.NewReader(image))
		if err != nil {
			return
		}
		tree, err := r.Tree()
		if err != nil {
			return
		}
		for _, n := range tree.Nodes() {
			if n.Kind == fstree.File && n.Blob.Size > r.Size() {
				t.Fatalf("%s has %d bytes in an image of %d", n.Path, n.Blob.Size, r.Size())
			}
		}
	})
}
