// Package fstree is a file tree in memory: names, modes, owners, links and
// where each file's bytes are, never the bytes themselves. The package
// readers fill it, the image engine edits it, and the writers of EROFS, FAT
// and cpio consume it in one fixed order, so that equal trees give equal images.
//
// A tree holds a few tens of thousands of nodes; it is not safe for
// concurrent changes.
package fstree

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
)

// Kind is the file type of a node.
type Kind uint8

// The kinds of nodes.
const (
	Dir Kind = iota
	File
	Symlink
	CharDevice
	BlockDevice
	Fifo
)

// String names the kind as users read it.
func (k Kind) String() string {
	return [...]string{"directory", "file", "symlink", "character device", "block device", "fifo"}[k]
}

// Blob says where the content of a file is. Equal SHA256 means equal content,
// which writers use to store it once.
type Blob struct {
	Source io.ReaderAt
	Offset int64 // bytes, in Source
	Size   int64 // bytes
	SHA256 [32]byte
}

// Reader returns a new reader over the whole content.
func (b Blob) Reader() io.Reader { return io.NewSectionReader(b.Source, b.Offset, b.Size) }

// Bytes reads the whole content into memory.
func (b Blob) Bytes() ([]byte, error) {
	buf := make([]byte, b.Size)
	if n, err := b.Source.ReadAt(buf, b.Offset); int64(n) != b.Size {
		return nil, fmt.Errorf("reading %d bytes at %d: %w", b.Size, b.Offset, err)
	}
	return buf, nil
}

// BytesBlob is a blob over data held in memory.
func BytesBlob(data []byte) Blob {
	return Blob{Source: bytes.NewReader(data), Size: int64(len(data)), SHA256: sha256.Sum256(data)}
}

// Node is one name in a tree.
type Node struct {
	Path   string // clean, relative, slash-separated; "." is the root
	Kind   Kind
	Mode   uint32 // permission bits including setuid, setgid and sticky: 0..07777
	UID    uint32
	GID    uint32
	Target string // of a symlink
	Blob   Blob   // of a file
	LinkTo string // path of the file that this file is another name (hard link) of; Blob is then that file's
	Major  uint32 // of a device
	Minor  uint32 // of a device
	Xattrs map[string][]byte
	Origin string // package or overlay that brought the node, for messages; never written to an image
}

// Tree is a set of nodes by path. The root directory always exists.
type Tree struct {
	nodes map[string]*Node
}

// New returns a tree with only a root directory, 0755 and owned by root.
func New() *Tree {
	return &Tree{nodes: map[string]*Node{".": {Path: ".", Kind: Dir, Mode: 0o755}}}
}

// Clean turns "/usr/bin/", "./usr/bin" or "usr/bin" into "usr/bin", and the
// root into ".". A path cannot climb above the root.
func Clean(name string) string {
	if name = path.Clean("/" + name)[1:]; name == "" {
		return "."
	}
	return name
}

// Put adds a node or replaces the one of the same path. Missing parents are
// made as directories 0755 owned by root with the node's origin.
// A parent that is not a directory is an error.
func (t *Tree) Put(n Node) error {
	n.Path = Clean(n.Path)
	if err := t.makeParents(n.Path, n.Origin); err != nil {
		return fmt.Errorf("adding %s from %s: %w", n.Path, n.Origin, err)
	}
	t.nodes[n.Path] = &n
	return nil
}

func (t *Tree) makeParents(name, origin string) error {
	parent := path.Dir(name)
	if name == "." || parent == name {
		return nil
	}
	if p := t.nodes[parent]; p != nil {
		if p.Kind != Dir {
			return fmt.Errorf("%s is a %s (from %s), not a directory", parent, p.Kind, p.Origin)
		}
		return nil
	}
	if err := t.makeParents(parent, origin); err != nil {
		return err
	}
	t.nodes[parent] = &Node{Path: parent, Kind: Dir, Mode: 0o755, Origin: origin}
	return nil
}

// Get returns the node of a path, or nil. Symlinks are not followed. The
// caller may change the node's fields except Path.
func (t *Tree) Get(name string) *Node { return t.nodes[Clean(name)] }

// Remove deletes a node and, if it is a directory, all below it. Removing
// what is not there does nothing.
func (t *Tree) Remove(name string) {
	name = Clean(name)
	n := t.nodes[name]
	if n == nil || name == "." {
		return
	}
	delete(t.nodes, name)
	if n.Kind != Dir {
		return
	}
	for p := range t.nodes {
		if strings.HasPrefix(p, name+"/") {
			delete(t.nodes, p)
		}
	}
}

// Len is the number of nodes, the root included.
func (t *Tree) Len() int { return len(t.nodes) }

// Nodes returns all nodes sorted by path, byte by byte per component, so that
// a directory comes right before what it holds. The root is first.
func (t *Tree) Nodes() []*Node {
	all := make([]*Node, 0, len(t.nodes))
	for _, n := range t.nodes {
		all = append(all, n)
	}
	sort.Slice(all, func(i, j int) bool { return Less(all[i].Path, all[j].Path) })
	return all
}

// Less is the order of Nodes: "a/b" comes before "a.b".
func Less(a, b string) bool {
	if a == "." || b == "." {
		return a == "." && b != "."
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] == '/' || b[i] != '/' && a[i] < b[i]
		}
	}
	return len(a) < len(b)
}

// Children returns the nodes right below a directory, sorted by name.
func (t *Tree) Children(dir string) []*Node {
	dir = Clean(dir)
	var kids []*Node
	for p, n := range t.nodes {
		if p != "." && path.Dir(p) == dir {
			kids = append(kids, n)
		}
	}
	sort.Slice(kids, func(i, j int) bool { return kids[i].Path < kids[j].Path })
	return kids
}

// Sub returns the subtree below dir as a tree of its own; nodes are copied,
// hard links that point outside become plain files.
func (t *Tree) Sub(dir string) *Tree {
	dir = Clean(dir)
	out := New()
	if root := t.nodes[dir]; root != nil {
		r := *root
		r.Path = "."
		out.nodes["."] = &r
	}
	for _, n := range t.Nodes() {
		rel, ok := strings.CutPrefix(n.Path, dir+"/")
		if !ok {
			continue
		}
		c := *n
		c.Path = rel
		if c.LinkTo != "" {
			c.LinkTo, _ = strings.CutPrefix(c.LinkTo, dir+"/")
			if t.nodes[n.LinkTo] == nil || c.LinkTo == n.LinkTo {
				c.LinkTo = ""
			}
		}
		out.nodes[rel] = &c
	}
	return out
}

// Resolve follows symlinks in every component, as a process whose root is the
// tree would, and returns the node reached, or nil.
func (t *Tree) Resolve(name string) *Node {
	return t.resolve(Clean(name), 0)
}

func (t *Tree) resolve(name string, depth int) *Node {
	if depth > 40 {
		return nil
	}
	if name == "." {
		return t.nodes["."]
	}
	parent := t.resolve(path.Dir(name), depth+1)
	if parent == nil || parent.Kind != Dir {
		return nil
	}
	n := t.nodes[Clean(parent.Path+"/"+path.Base(name))]
	if n == nil || n.Kind != Symlink {
		return n
	}
	if path.IsAbs(n.Target) {
		return t.resolve(Clean(n.Target), depth+1)
	}
	return t.resolve(Clean(parent.Path+"/"+n.Target), depth+1)
}
