package unpacked

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"wellcar.dev/internal/format/fstree"
)

// The index file: magic, SHA-256 of the rest, number of nodes, nodes, number
// of facts, facts. Numbers are unsigned varints, texts a length and bytes.
const magic = "wellcar unpacked 1\n"

type writer struct{ b []byte }

func (w *writer) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) text(s string)   { w.number(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) texts(list []string) {
	w.number(uint64(len(list)))
	for _, s := range list {
		w.text(s)
	}
}

func encode(nodes []fstree.Node, facts map[[32]byte]Facts) []byte {
	w := &writer{}
	w.number(uint64(len(nodes)))
	for _, n := range nodes {
		w.node(n)
	}
	keys := make([][32]byte, 0, len(facts))
	for k := range facts {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return bytes.Compare(keys[i][:], keys[j][:]) < 0 })
	w.number(uint64(len(keys)))
	for _, k := range keys {
		w.facts(k, facts[k])
	}
	sum := sha256.Sum256(w.b)
	return append(append([]byte(magic), sum[:]...), w.b...)
}

func (w *writer) node(n fstree.Node) {
	w.text(n.Path)
	for _, v := range []uint32{uint32(n.Kind), n.Mode, n.UID, n.GID} {
		w.number(uint64(v))
	}
	switch n.Kind {
	case fstree.File:
		w.text(n.LinkTo)
		w.number(uint64(n.Blob.Offset))
		w.number(uint64(n.Blob.Size))
		w.b = append(w.b, n.Blob.SHA256[:]...)
	case fstree.Symlink:
		w.text(n.Target)
	case fstree.CharDevice, fstree.BlockDevice:
		w.number(uint64(n.Major))
		w.number(uint64(n.Minor))
	}
	names := make([]string, 0, len(n.Xattrs))
	for name := range n.Xattrs {
		names = append(names, name)
	}
	sort.Strings(names)
	w.number(uint64(len(names)))
	for _, name := range names {
		w.text(name)
		w.text(string(n.Xattrs[name]))
	}
}

func (w *writer) facts(key [32]byte, f Facts) {
	w.b = append(w.b, key[:]...)
	var flags uint64
	if f.ELF {
		flags |= 1
	}
	if f.Class32 {
		flags |= 2
	}
	w.number(flags)
	w.text(f.Interpreter)
	w.text(f.Soname)
	w.texts(f.Needed)
	w.texts(f.Runpath)
}

// reader stops at the first fault and then returns zeros.
type reader struct {
	b   []byte
	err error
}

var errShort = errors.New("its index is cut short")

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.err = nil, errShort
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.err = nil, errShort
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) text() string { return string(r.take(r.number())) }

func (r *reader) texts() []string {
	var out []string
	for i := r.number(); i > 0 && r.err == nil; i-- {
		out = append(out, r.text())
	}
	return out
}

func decode(data []byte) ([]fstree.Node, map[[32]byte]Facts, error) {
	head := len(magic) + sha256.Size
	if len(data) < head || string(data[:len(magic)]) != magic {
		return nil, nil, errors.New("its index has another format")
	}
	if sum := sha256.Sum256(data[head:]); !bytes.Equal(sum[:], data[len(magic):head]) {
		return nil, nil, errors.New("its index is damaged")
	}
	r := &reader{b: data[head:]}
	count := r.number()
	if count > uint64(len(data)) {
		return nil, nil, fmt.Errorf("its index claims %d nodes", count)
	}
	nodes := make([]fstree.Node, 0, count)
	for ; count > 0 && r.err == nil; count-- {
		nodes = append(nodes, r.node())
	}
	facts := map[[32]byte]Facts{}
	for i := r.number(); i > 0 && r.err == nil; i-- {
		var key [32]byte
		copy(key[:], r.take(32))
		flags := r.number()
		facts[key] = Facts{ELF: flags&1 != 0, Class32: flags&2 != 0, Interpreter: r.text(), Soname: r.text(), Needed: r.texts(), Runpath: r.texts()}
	}
	return nodes, facts, r.err
}

func (r *reader) node() fstree.Node {
	n := fstree.Node{Path: r.text(), Kind: fstree.Kind(r.number()), Mode: uint32(r.number()), UID: uint32(r.number()), GID: uint32(r.number())}
	switch n.Kind {
	case fstree.File:
		n.LinkTo = r.text()
		n.Blob.Offset, n.Blob.Size = int64(r.number()), int64(r.number())
		copy(n.Blob.SHA256[:], r.take(32))
	case fstree.Symlink:
		n.Target = r.text()
	case fstree.CharDevice, fstree.BlockDevice:
		n.Major, n.Minor = uint32(r.number()), uint32(r.number())
	}
	for i := r.number(); i > 0 && r.err == nil; i-- {
		if n.Xattrs == nil {
			n.Xattrs = map[string][]byte{}
		}
		name := r.text()
		n.Xattrs[name] = []byte(r.text())
	}
	return n
}
