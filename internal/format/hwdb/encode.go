package hwdb

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Sizes of the file's records, bytes. All numbers are little endian.
const (
	headerSize = 80
	nodeSize   = 24
	childSize  = 16
	valueSize  = 32
)

// toolVersion is recorded for readers to show; it means systemd's version.
const toolVersion = 257

// signature starts every hwdb.bin.
const signature = "KSLPHHRH"

type encoder struct {
	strings map[string]uint64 // offset in the string table
	base    uint64            // offset of the string table in the file
	out     []byte            // the nodes
}

// encode writes the header, the nodes with children before parents, and the
// strings.
func encode(root *node) []byte {
	seen, size := map[string]bool{"": true}, uint64(headerSize)
	root.collect(seen, &size)
	table, offsets := stringTable(seen)
	e := &encoder{strings: offsets, base: size, out: make([]byte, headerSize, size+uint64(len(table)))}
	rootOffset := e.node(root)
	le := binary.LittleEndian
	copy(e.out, signature)
	for i, n := range []uint64{toolVersion, size + uint64(len(table)), headerSize, nodeSize, childSize, valueSize, rootOffset, size - headerSize, uint64(len(table))} {
		le.PutUint64(e.out[8+8*i:], n)
	}
	return append(e.out, table...)
}

// collect finds the strings and adds up the size of all nodes.
func (n *node) collect(seen map[string]bool, size *uint64) {
	*size += nodeSize + childSize*uint64(len(n.children)) + valueSize*uint64(len(n.values))
	seen[n.prefix] = true
	for _, v := range n.values {
		seen[v.key], seen[v.text], seen[v.file] = true, true, true
	}
	for _, c := range n.children {
		c.n.collect(seen, size)
	}
}

// stringTable stores each string once, ended by a zero; one that ends
// another is found at that one's end.
func stringTable(seen map[string]bool) (table []byte, offsets map[string]uint64) {
	all := make([]string, 0, len(seen))
	for s := range seen {
		all = append(all, s)
	}
	slices.SortFunc(all, compareBackwards)
	offsets = make(map[string]uint64, len(all))
	for i := len(all) - 1; i >= 0; i-- {
		if i+1 < len(all) && strings.HasSuffix(all[i+1], all[i]) {
			offsets[all[i]] = offsets[all[i+1]] + uint64(len(all[i+1])-len(all[i]))
			continue
		}
		offsets[all[i]] = uint64(len(table))
		table = append(append(table, all[i]...), 0)
	}
	return table, offsets
}

// compareBackwards orders by the last byte first, so that a string stands
// right before those that it ends.
func compareBackwards(a, b string) int {
	i, j := len(a), len(b)
	for i > 0 && j > 0 {
		i--
		j--
		if a[i] != b[j] {
			return int(a[i]) - int(b[j])
		}
	}
	return i - j
}

func (e *encoder) node(n *node) (offset uint64) {
	below := make([]uint64, len(n.children))
	for i, c := range n.children {
		below[i] = e.node(c.n)
	}
	le := binary.LittleEndian
	offset = uint64(len(e.out))
	e.text(n.prefix)
	e.out = append(e.out, byte(len(n.children)), 0, 0, 0, 0, 0, 0, 0)
	e.out = le.AppendUint64(e.out, uint64(len(n.values)))
	for i, c := range n.children {
		e.out = append(e.out, c.c, 0, 0, 0, 0, 0, 0, 0)
		e.out = le.AppendUint64(e.out, below[i])
	}
	for _, v := range n.values {
		e.text(v.key)
		e.text(v.text)
		e.text(v.file)
		e.out = le.AppendUint32(e.out, v.line)
		e.out = le.AppendUint16(e.out, v.priority)
		e.out = le.AppendUint16(e.out, 0)
	}
	return offset
}

// text writes where in the file a string is.
func (e *encoder) text(s string) {
	e.out = binary.LittleEndian.AppendUint64(e.out, e.base+e.strings[s])
}
