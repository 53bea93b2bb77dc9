package bsdiff

// sortSuffixes returns the starts of all suffixes of text in their order.
//
// It is induced sorting (Nong, Zhang, Chan: "Two efficient algorithms for
// linear time suffix array construction", 2009): the suffixes that begin a
// descent to a smaller one are sorted first, by names if need be, and all
// others follow from them in two sweeps.
func sortSuffixes(text []byte) []int32 {
	s := make([]int32, len(text))
	for i, c := range text {
		s[i] = int32(c)
	}
	return induce(s, 256)
}

// sorter carries one level of the recursion.
type sorter struct {
	s       []int32
	sa      []int32
	smaller []bool  // the suffix is smaller than the next one
	first   []int32 // of each letter's bucket in sa
	cursor  []int32
}

func induce(s []int32, letters int) []int32 {
	n := len(s)
	if n == 0 {
		return nil
	}
	x := &sorter{s: s, sa: make([]int32, n), smaller: make([]bool, n), first: make([]int32, letters+1), cursor: make([]int32, letters)}
	for i := n - 2; i >= 0; i-- {
		x.smaller[i] = s[i] < s[i+1] || s[i] == s[i+1] && x.smaller[i+1]
	}
	for _, c := range s {
		x.first[c+1]++
	}
	for c := range letters {
		x.first[c+1] += x.first[c]
	}
	var lms []int32
	for i := 1; i < n; i++ {
		if x.isLMS(i) {
			lms = append(lms, int32(i))
		}
	}
	x.sweep(lms)
	if len(lms) > 1 {
		x.sweep(x.order(lms))
	}
	return x.sa
}

// isLMS tells whether the suffix is smaller than both its neighbours.
func (x *sorter) isLMS(i int) bool { return i > 0 && x.smaller[i] && !x.smaller[i-1] }

// sweep places the given suffixes at the ends of their buckets and induces
// the order of all others.
func (x *sorter) sweep(lms []int32) {
	for i := range x.sa {
		x.sa[i] = -1
	}
	x.ends()
	for i := len(lms) - 1; i >= 0; i-- {
		x.putLast(lms[i])
	}
	copy(x.cursor, x.first)
	x.putFirst(int32(len(x.s) - 1)) // the last suffix follows from the end of the text
	for _, at := range x.sa {
		if at > 0 && !x.smaller[at-1] {
			x.putFirst(at - 1)
		}
	}
	x.ends()
	for i := len(x.sa) - 1; i >= 0; i-- {
		if at := x.sa[i]; at > 0 && x.smaller[at-1] {
			x.putLast(at - 1)
		}
	}
}

func (x *sorter) ends() { copy(x.cursor, x.first[1:]) }

func (x *sorter) putLast(at int32) {
	c := x.s[at]
	x.cursor[c]--
	x.sa[x.cursor[c]] = at
}

func (x *sorter) putFirst(at int32) {
	c := x.s[at]
	x.sa[x.cursor[c]] = at
	x.cursor[c]++
}

// order sorts the chosen suffixes fully: equal pieces between them get equal
// names, and the string of names is sorted the same way.
func (x *sorter) order(lms []int32) []int32 {
	name := make([]int32, len(x.s)/2+1) // by half the place: two are never neighbours
	names, last := int32(0), int32(-1)
	for _, at := range x.sa {
		if !x.isLMS(int(at)) {
			continue
		}
		if last >= 0 && !x.samePiece(last, at) {
			names++
		}
		name[at/2], last = names, at
	}
	short := make([]int32, len(lms))
	for i, at := range lms {
		short[i] = name[at/2]
	}
	var ranks []int32
	if int(names)+1 == len(lms) { // all differ: the names are the order
		ranks = make([]int32, len(lms))
		for i, r := range short {
			ranks[r] = int32(i)
		}
	} else {
		ranks = induce(short, int(names)+1)
	}
	sorted := make([]int32, len(lms))
	for i, r := range ranks {
		sorted[i] = lms[r]
	}
	return sorted
}

// samePiece compares two pieces up to the next chosen suffix, inclusive.
func (x *sorter) samePiece(a, b int32) bool {
	n := int32(len(x.s))
	for i := int32(0); ; i++ {
		if a+i == n || b+i == n || x.s[a+i] != x.s[b+i] || x.smaller[a+i] != x.smaller[b+i] {
			return false
		}
		if i > 0 && (x.isLMS(int(a+i)) || x.isLMS(int(b+i))) {
			return x.isLMS(int(a+i)) && x.isLMS(int(b+i))
		}
	}
}
