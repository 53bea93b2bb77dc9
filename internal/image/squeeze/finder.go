package squeeze

import (
	"encoding/binary"
	"math/bits"
)

// match is content that was before: so many bytes, from so far back.
type match struct {
	size, offset uint32
}

// found are the matches of a block. Those of a place are ordered by size.
type found struct {
	at      int64  // of data in the image
	data    []byte // the block
	history []byte // what is in front of it, and data
	ends    []uint32
	list    []match
	greedy  bool // each place has one match at most, which is good enough
}

func (f *found) open(t *text, at, end int64) {
	f.at = at
	f.history = t.data[:end-t.start]
	f.data = f.history[at-t.start:]
	f.ends = make([]uint32, 0, len(f.data))
}

// of are the matches of a place in data.
func (f *found) of(i int) []match {
	if i == 0 {
		return f.list[:f.ends[0]]
	}
	return f.list[f.ends[i-1]:f.ends[i]]
}

// none says that n places have no matches of their own.
func (f *found) none(n int) {
	for range n {
		f.ends = append(f.ends, uint32(len(f.list)))
	}
}

// finder finds matches by a binary tree of the places of a window, in the
// order of what follows them. It is for one goroutine.
type finder struct {
	far   []repeat
	heads []uint32 // the last place with a hash of four bytes, + 1
	near  []uint32 // of three bytes
	tree  []uint32 // for each place of the window: the smaller and the larger ones
	run   match    // what is left of a long match
	known bool     // the tree does not need the places of the run
	spare []match
}

const (
	headsLog = 22
	nearLog  = 16
	nearby   = 1 << 17   // how far back a match of three bytes may pay
	longest  = 128 << 10 // of a match
)

func newFinder(far []repeat, size int64) *finder {
	return &finder{far: far, heads: make([]uint32, 1<<headsLog), near: make([]uint32, 1<<nearLog), tree: make([]uint32, 2*min(window, size))}
}

func (f *finder) segment(t *text, at, end int64, out *found) {
	out.open(t, at, end)
	out.list = make([]match, 0, len(out.data))
	for p := at; p < end; {
		if f.run.size == 0 {
			f.place(t, p, out)
		} else {
			out.list = append(out.list, f.run)
		}
		if f.run.size == 0 {
			out.none(1)
			p++
			continue
		}
		n := min(int64(f.run.size), end-p)
		out.none(int(n))
		f.skip(t, p+1, p+n)
		p += n
		f.run.size -= uint32(n)
	}
}

// place adds the matches of a place, and begins a run if one is long.
func (f *finder) place(t *text, p int64, out *found) {
	before := len(out.list)
	out.list = f.find(t, p, longest, out.list)
	best := uint32(0)
	if n := len(out.list); n > before {
		best = out.list[n-1].size
	}
	f.known = true
	if m := next(&f.far, p); m.size > best {
		out.list, best = append(out.list, m), m.size
		f.known = false
	}
	if best >= long {
		f.run = out.list[len(out.list)-1]
	}
}

// next is the repeat that a place is in.
func next(far *[]repeat, p int64) match {
	for len(*far) > 0 && (*far)[0].at+(*far)[0].size <= p {
		*far = (*far)[1:]
	}
	if len(*far) == 0 || (*far)[0].at > p {
		return match{}
	}
	m := (*far)[0]
	return match{uint32(m.at + m.size - p), uint32(m.at - m.from)}
}

// skip goes over the places of a run.
func (f *finder) skip(t *text, p, end int64) {
	if f.known {
		return
	}
	for ; p < end; p++ {
		f.spare = f.find(t, p, nice, f.spare[:0])
	}
}

func hash4(b []byte) uint32 { return binary.LittleEndian.Uint32(b) * 2654435761 >> (32 - headsLog) }

func hash3(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b) << 8 * 506832829 >> (32 - nearLog)
}

// find adds the matches of a place to a list, and the place to the tree. most
// is the largest size that is told.
func (f *finder) find(t *text, p int64, most int, list []match) []match {
	cur := t.data[p-t.start:]
	cur = cur[:min(len(cur), most)]
	if len(cur) < 8 {
		return list
	}
	limit := min(len(cur), nice)
	h := hash3(cur)
	before := int64(f.near[h]) - 1
	f.near[h] = uint32(p + 1)
	best := 2
	if before >= t.start && p-before < nearby {
		if n := same(cur[:limit], t.data[before-t.start:]); n > best {
			best = n
			list = append(list, match{uint32(n), uint32(p - before)})
		}
	}
	return f.descend(t, p, cur, limit, best, list)
}

// descend walks down the tree and makes the place its root.
func (f *finder) descend(t *text, p int64, cur []byte, limit, best int, list []match) []match {
	h := hash4(cur)
	before := int64(f.heads[h]) - 1
	f.heads[h] = uint32(p + 1)
	tree := f.tree
	smaller, larger := 2*(p&(window-1)), 2*(p&(window-1))+1
	smallerSize, largerSize := 0, 0
	for range depth {
		if before < 0 || p-before >= window {
			break
		}
		pair := 2 * (before & (window - 1))
		other := t.data[before-t.start:]
		n := min(smallerSize, largerSize)
		n += same(cur[n:limit], other[n:])
		if n > best {
			best = n
			if n == limit {
				n += same(cur[n:], other[n:])
			}
			list = append(list, match{uint32(n), uint32(p - before)})
		}
		if n >= limit {
			tree[smaller], tree[larger] = tree[pair], tree[pair+1]
			return list
		}
		if other[n] < cur[n] {
			tree[smaller] = uint32(before + 1)
			smaller, smallerSize = pair+1, n
			before = int64(tree[smaller]) - 1
		} else {
			tree[larger] = uint32(before + 1)
			larger, largerSize = pair, n
			before = int64(tree[larger]) - 1
		}
	}
	tree[smaller], tree[larger] = 0, 0
	return list
}

// same counts the bytes that are equal at the start.
func same(a, b []byte) int {
	b = b[:len(a)]
	n := 0
	for ; n+8 <= len(a); n += 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}
