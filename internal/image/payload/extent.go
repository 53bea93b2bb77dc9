package payload

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/fstree"
)

// extent is a run of blocks of an image: the content of a file, or what lies
// between files, which has no path.
type extent struct {
	path string
	at   int64
	size int64 // whole blocks
	hash [32]byte
}

// extentsOf lists all blocks of a /usr image in their order.
func extentsOf(usr io.ReaderAt, size int64) ([]extent, error) {
	r, err := erofs.Open(io.NewSectionReader(usr, 0, size))
	if err != nil {
		return nil, fmt.Errorf("reading the /usr image: %w", err)
	}
	tree, err := r.Tree()
	if err != nil {
		return nil, fmt.Errorf("reading the /usr image: %w", err)
	}
	files := map[int64]extent{}
	for _, n := range tree.Nodes() {
		b := n.Blob
		if n.Kind != fstree.File || b.Size == 0 || b.Offset%delta.BlockSize != 0 {
			continue
		}
		if _, known := files[b.Offset]; !known {
			files[b.Offset] = extent{n.Path, b.Offset, roundUp(b.Size), b.SHA256}
		}
	}
	return fillGaps(files, size), nil
}

// fillGaps sorts the extents and adds those between them.
func fillGaps(files map[int64]extent, size int64) []extent {
	var sorted []extent
	for _, e := range files {
		sorted = append(sorted, e)
	}
	slices.SortFunc(sorted, func(a, b extent) int { return cmp.Compare(a.at, b.at) })
	var all []extent
	at := int64(0)
	for _, e := range sorted {
		if e.at < at || e.at+e.size > size {
			continue // inside another, as no writer of ours does: it comes with that one
		}
		if e.at > at {
			all = append(all, extent{at: at, size: e.at - at})
		}
		all = append(all, e)
		at = e.at + e.size
	}
	if at < size {
		all = append(all, extent{at: at, size: size - at})
	}
	return all
}

func roundUp(n int64) int64 { return (n + delta.BlockSize - 1) / delta.BlockSize * delta.BlockSize }
