package fat

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"wellcar.dev/internal/format/fstree"
)

// Options are what does not come from the tree.
type Options struct {
	Label      string    // of the volume: at most 11 characters, upper case
	VolumeID   uint32    // serial number
	Time       time.Time // of every entry, kept in UTC; before 1980 means 1980-01-01
	SectorSize int       // bytes; 0 means 512. Must be the disk's
}

// Write makes a file system of size bytes that holds the tree. The area must
// read as zeros: only what is not zero, and what files hold, is written.
// Symlinks and special files, and names that FAT cannot hold, are errors.
func Write(w io.WriterAt, size int64, opt Options, t *fstree.Tree) error {
	g, err := plan(size, opt.SectorSize)
	if err != nil {
		return fmt.Errorf("making a FAT file system: %w", err)
	}
	if err := checkLabel(opt.Label); err != nil {
		return fmt.Errorf("making a FAT file system: label %q: %w", opt.Label, err)
	}
	v := &volume{geometry: g, opt: opt, next: 2, children: map[string][]*item{}}
	if err := v.collect(t); err != nil {
		return fmt.Errorf("making a FAT file system: %w", err)
	}
	if err := v.allocate(); err != nil {
		return fmt.Errorf("making a FAT file system: %w", err)
	}
	if err := v.write(w); err != nil {
		return fmt.Errorf("writing a FAT file system: %w", err)
	}
	return nil
}

func checkLabel(label string) error {
	if len(label) > 11 || label != strings.ToUpper(label) || strings.HasPrefix(label, " ") {
		return errors.New("want at most 11 upper-case characters")
	}
	for i := range len(label) {
		if c := label[i]; !shortByte(c) && c != ' ' {
			return fmt.Errorf("character %q is not allowed", c)
		}
	}
	return nil
}

// item is a node with its place on the volume.
type item struct {
	node    *fstree.Node
	short   [11]byte
	long    []byte // long-name entries
	cluster uint32 // first; 0 for an empty file
	count   uint32 // clusters
}

// volume is a file system being made.
type volume struct {
	geometry
	opt      Options
	items    []*item            // in the order of the disk; the root first
	children map[string][]*item // by path of the directory
	next     uint32             // first free cluster
}

// collect takes the nodes of the tree and gives them names.
func (v *volume) collect(t *fstree.Tree) error {
	for _, n := range t.Nodes() {
		it := &item{node: n}
		switch {
		case n.Kind != fstree.Dir && n.Kind != fstree.File:
			return fmt.Errorf("%s: FAT cannot hold a %s", n.Path, n.Kind)
		case n.Kind == fstree.File && n.Blob.Size > maxFileSize:
			return fmt.Errorf("%s: %d bytes are too many for a file", n.Path, n.Blob.Size)
		}
		v.items = append(v.items, it)
		if n.Path != "." {
			parent := path.Dir(n.Path)
			v.children[parent] = append(v.children[parent], it)
		}
	}
	for _, it := range v.items {
		if err := nameAll(v.children[it.node.Path]); err != nil {
			return err
		}
	}
	return nil
}

// nameAll gives each entry of one directory its short and long name. Names
// that are short already go first, so that no alias takes theirs.
func nameAll(items []*item) error {
	taken, folded := map[[11]byte]bool{}, map[string]string{}
	for _, it := range items {
		name := path.Base(it.node.Path)
		if err := checkName(name); err != nil {
			return fmt.Errorf("%s: %w", it.node.Path, err)
		}
		if other, ok := folded[strings.ToUpper(name)]; ok {
			return fmt.Errorf("%s: it differs from %s only in case", it.node.Path, other)
		}
		folded[strings.ToUpper(name)] = name
		if short, ok := asShort(name); ok {
			it.short, taken[short] = short, true
		}
	}
	for _, it := range items {
		if it.short == ([11]byte{}) {
			name := path.Base(it.node.Path)
			it.short = alias(name, taken)
			taken[it.short] = true
			it.long = longEntries(name, it.short)
		}
	}
	return nil
}

// allocate gives each item its clusters, one behind the other.
func (v *volume) allocate() error {
	for _, it := range v.items {
		bytes := it.node.Blob.Size
		if it.node.Kind == fstree.Dir {
			bytes = v.dirBytes(it)
			if bytes > maxDirBytes {
				return fmt.Errorf("%s: too many entries for a directory", it.node.Path)
			}
			if it.node.Path == "." && v.bits == 16 {
				if bytes > v.rootEntries*entrySize {
					return fmt.Errorf("the root directory of FAT16 holds only %d entries", v.rootEntries)
				}
				continue
			}
			bytes = max(bytes, 1)
		}
		need := (bytes + v.clusterSize() - 1) / v.clusterSize()
		if need == 0 {
			continue
		}
		if free := v.clusters + 2 - int64(v.next); need > free {
			return fmt.Errorf("%s: no space left: it needs %d KiB, %d are free", it.node.Path, need*v.clusterSize()>>10, free*v.clusterSize()>>10)
		}
		it.cluster, it.count = v.next, uint32(need)
		v.next += uint32(need)
	}
	return nil
}

// dirBytes is the length of a directory's entries.
func (v *volume) dirBytes(dir *item) int64 {
	n := int64(2 * entrySize) // "." and ".."
	if dir.node.Path == "." {
		n = 0
		if v.opt.Label != "" {
			n = entrySize
		}
	}
	for _, it := range v.children[dir.node.Path] {
		n += int64(len(it.long)) + entrySize
	}
	return n
}
