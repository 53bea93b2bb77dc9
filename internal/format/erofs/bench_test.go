package erofs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"wellcar.dev/internal/format/fstree"
)

// benchTree has about as many files as a /usr, of sizes spread likewise, over
// one source file: 7000 files and 256 MiB.
func benchTree(b *testing.B) *fstree.Tree {
	const total = 256 << 20
	source, err := os.Create(filepath.Join(b.TempDir(), "source"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { source.Close() })
	if err := source.Truncate(total); err != nil {
		b.Fatal(err)
	}
	tree := fstree.New()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 7000 {
		size := rng.Int64N(1 << (8 + rng.Int64N(10)))
		if i == 0 {
			size = total / 2
		}
		n := fstree.Node{Path: fmt.Sprintf("lib/%d/%d", i%100, i), Kind: fstree.File, Mode: 0o644}
		n.Blob = fstree.Blob{Source: source, Offset: rng.Int64N(total - size), Size: size}
		if err := tree.Put(n); err != nil {
			b.Fatal(err)
		}
	}
	return tree
}

func BenchmarkPlan(b *testing.B) {
	tree := benchTree(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Plan(tree, testOptions); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	tree := benchTree(b)
	out, err := os.Create(filepath.Join(b.TempDir(), "image"))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	l, err := Plan(tree, testOptions)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(l.Size())
	b.ReportAllocs()
	for b.Loop() {
		if err := l.WriteTo(out); err != nil {
			b.Fatal(err)
		}
	}
}
