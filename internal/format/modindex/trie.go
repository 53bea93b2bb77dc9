package modindex

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// key is one name in a binary index with one of its values. Values of a name
// are ordered by priority, lowest first; of equal ones the last added is first.
type key struct {
	name, value string
	priority    int
}

// The binary index of kmod (libkmod-index.h) is a trie in big-endian numbers.
// Header: magic, version (major in the upper half), reference to the root.
// A reference is the offset of a node in the file with flags in the top bits
// that say which parts the node has:
//
//	prefix:   the bytes that all names below share, ended by a zero byte
//	children: first byte, last byte, a reference (or 0) for each from first to last
//	values:   their number, then for each the priority and the string, ended by a zero byte
//
// A child's reference stands for its byte, so prefixes leave that byte out.
// The root has no prefix. Names are 7-bit ASCII.
const (
	trieMagic   = 0xB007F457
	trieVersion = 2<<16 | 1

	flagPrefix   = 0x80000000
	flagValues   = 0x40000000
	flagChildren = 0x20000000
)

// writeTrie makes an index of the keys. It reorders them.
func writeTrie(keys []key) []byte {
	slices.Reverse(keys)
	slices.SortStableFunc(keys, func(a, b key) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.priority, b.priority))
	})
	w := trieWriter{binary.BigEndian.AppendUint32(nil, trieMagic)}
	w.number(trieVersion)
	w.number(0)
	root := w.node(keys, 0, 0)
	binary.BigEndian.PutUint32(w.out[8:], root)
	return w.out
}

type trieWriter struct{ out []byte }

func (w *trieWriter) number(n uint32) { w.out = binary.BigEndian.AppendUint32(w.out, n) }

func (w *trieWriter) string(s string) { w.out = append(append(w.out, s...), 0) }

// node writes the node of keys, which are sorted and share their first depth
// bytes, with prefix more bytes shared, and all nodes below; it returns the
// reference to it.
func (w *trieWriter) node(keys []key, depth, prefix int) uint32 {
	ref := uint32(len(w.out))
	if prefix > 0 {
		ref |= flagPrefix
		w.string(keys[0].name[depth : depth+prefix])
	}
	depth += prefix
	values := 0
	for values < len(keys) && len(keys[values].name) == depth {
		values++
	}
	children := keys[values:]
	table := 0
	var first byte
	if len(children) > 0 {
		ref |= flagChildren
		var last byte
		first, last = children[0].name[depth], children[len(children)-1].name[depth]
		w.out = append(w.out, first, last)
		table = len(w.out)
		w.out = append(w.out, make([]byte, 4*(int(last-first)+1))...)
	}
	if values > 0 {
		ref |= flagValues
		w.values(keys[:values])
	}
	for len(children) > 0 {
		c := children[0].name[depth]
		n := 1
		for n < len(children) && children[n].name[depth] == c {
			n++
		}
		child := w.node(children[:n], depth+1, shared(children[0].name, children[n-1].name, depth+1))
		binary.BigEndian.PutUint32(w.out[table+4*int(c-first):], child)
		children = children[n:]
	}
	return ref
}

func (w *trieWriter) values(keys []key) {
	w.number(uint32(len(keys)))
	for _, k := range keys {
		w.number(uint32(k.priority))
		w.string(k.value)
	}
}

// shared is how many bytes after depth two names have in common. For the
// first and the last of sorted names it holds for all between.
func shared(a, b string, depth int) int {
	n := 0
	for depth+n < len(a) && depth+n < len(b) && a[depth+n] == b[depth+n] {
		n++
	}
	return n
}
