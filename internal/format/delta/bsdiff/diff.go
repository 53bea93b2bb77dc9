package bsdiff

import "bytes"

// Index is an old string that is ready to be compared with others.
type Index struct {
	old []byte
	sa  []int32
}

// NewIndex sorts the suffixes of old, which it keeps.
func NewIndex(old []byte) *Index { return &Index{old, sortSuffixes(old)} }

// longest finds the longest prefix of text in the old string.
func (x *Index) longest(text []byte) (at, length int) {
	low, high := 0, len(x.sa)
	for low < high {
		mid := (low + high) / 2
		if bytes.Compare(x.old[x.sa[mid]:], text) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	for _, i := range [2]int{low - 1, low} {
		if i < 0 || i >= len(x.sa) {
			continue
		}
		if n := common(x.old[x.sa[i]:], text); n > length {
			at, length = int(x.sa[i]), n
		}
	}
	return at, length
}

func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// margin is by how many bytes a match must beat staying where we are.
const margin = 8

// walker goes through the new string.
type walker struct {
	*Index
	text     []byte
	patch    Patch
	at       int // in text: where to look
	matchAt  int // in old: of the match found at at
	length   int // of that match
	doneNew  int // all before it is in the patch
	doneOld  int // its place in old
	distance int // from text to old, of the region being extended
}

// Diff expresses text by the old string.
func (x *Index) Diff(text []byte) Patch {
	w := &walker{Index: x, text: text}
	for w.at < len(text) {
		w.next()
		w.emit()
	}
	return w.patch
}

// next finds the next match that is better, by the margin, than going on as
// before.
func (w *walker) next() {
	w.at += w.length
	w.length = 0
	agree, counted := 0, w.at // bytes from at to counted that go on as before
	for ; w.at < len(w.text); w.at++ {
		w.matchAt, w.length = w.longest(w.text[w.at:])
		for ; counted < w.at+w.length; counted++ {
			if w.goesOn(counted) {
				agree++
			}
		}
		if w.length == agree && w.length != 0 || w.length > agree+margin {
			return
		}
		if w.goesOn(w.at) {
			agree--
		}
	}
	w.length = 0
}

// goesOn tells whether a byte is the one at the current distance in old.
func (w *walker) goesOn(i int) bool {
	o := i + w.distance
	return o >= 0 && o < len(w.old) && w.old[o] == w.text[i]
}

// emit closes the region before the match just found, if the match is not
// the same region going on.
func (w *walker) emit() {
	agreeing := 0
	for i := range w.length {
		if w.goesOn(w.at + i) {
			agreeing++
		}
	}
	if w.at < len(w.text) && w.length == agreeing {
		return
	}
	forward, backward := w.extend()
	if over := forward + backward - (w.at - w.doneNew); over > 0 {
		keep := w.split(forward, backward, over)
		forward, backward = forward-over+keep, backward-keep
	}
	extra := w.at - backward - w.doneNew - forward
	oldAfter := w.doneOld + forward
	seek := 0
	if w.at < len(w.text) {
		seek = w.matchAt - backward - oldAfter
	}
	w.add(forward, extra, seek)
	w.doneOld = oldAfter + seek
	w.distance = w.matchAt - w.at
}

// extend finds how far the finished region reaches forwards and the new match
// backwards, so that at least half of the bytes agree.
func (w *walker) extend() (forward, backward int) {
	score, best := 0, 0
	for i := 0; w.doneNew+i < w.at && w.doneOld+i < len(w.old); {
		if w.old[w.doneOld+i] == w.text[w.doneNew+i] {
			score++
		}
		i++
		if score*2-i > best*2-forward {
			best, forward = score, i
		}
	}
	if w.at >= len(w.text) {
		return forward, 0
	}
	score, best = 0, 0
	for i := 1; w.at >= w.doneNew+i && w.matchAt >= i; i++ {
		if w.old[w.matchAt-i] == w.text[w.at-i] {
			score++
		}
		if score*2-i > best*2-backward {
			best, backward = score, i
		}
	}
	return forward, backward
}

// split tells how much of the overlap goes to the finished region.
func (w *walker) split(forward, backward, over int) (keep int) {
	score, best := 0, 0
	for i := range over {
		if w.text[w.doneNew+forward-over+i] == w.old[w.doneOld+forward-over+i] {
			score++
		}
		if w.text[w.at-backward+i] == w.old[w.matchAt-backward+i] {
			score--
		}
		if score > best {
			best, keep = score, i+1
		}
	}
	return keep
}

// add appends a triple with its bytes.
func (w *walker) add(add, extra, seek int) {
	for i := range add {
		w.patch.Diff = append(w.patch.Diff, w.text[w.doneNew+i]-w.old[w.doneOld+i])
	}
	w.doneNew += add
	w.patch.Extra = append(w.patch.Extra, w.text[w.doneNew:w.doneNew+extra]...)
	w.doneNew += extra
	w.patch.Triples = append(w.patch.Triples, Triple{add, extra, seek})
}

// Apply makes the new string again; it is for proving a patch.
func Apply(old []byte, p Patch) (out []byte, ok bool) {
	at, diff, extra := 0, p.Diff, p.Extra
	for _, t := range p.Triples {
		if at < 0 || t.Add < 0 || t.Extra < 0 || t.Add > len(diff) || t.Extra > len(extra) || at+t.Add > len(old) {
			return nil, false
		}
		for i := range t.Add {
			out = append(out, old[at+i]+diff[i])
		}
		out = append(out, extra[:t.Extra]...)
		diff, extra, at = diff[t.Add:], extra[t.Extra:], at+t.Add+t.Seek
	}
	return out, len(diff) == 0 && len(extra) == 0
}
