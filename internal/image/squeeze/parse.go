package squeeze

import "wellcar.dev/internal/format/zblock"

// node is a place in a segment, and the cheapest way to it.
type node struct {
	price   uint32
	size    uint32 // of the match that ends here; 0: a literal does
	offset  uint32
	run     uint32 // of literals before this place
	repeats zblock.Repeats
}

// path has the places of a block, and its end.
type path []node

const infinite = 1 << 31

// parser chooses among matches. It is for one goroutine.
type parser struct {
	nodes    path
	prices   prices
	literals []byte
	out      []zblock.Sequence
}

func newParser() *parser { return &parser{nodes: make(path, Size+1)} }

// parse finds a way through a block: a cheap one, by what symbols usually
// cost, and then by what they did.
func (p *parser) parse(f *found) {
	if f.greedy {
		p.take(f)
		return
	}
	c := usual(f.data)
	for range 2 {
		p.prices.set(&c)
		p.walk(f)
		p.collect(f)
		c = counts{}
		c.add(p.literals, p.out)
	}
}

// take takes each match that there is.
func (p *parser) take(f *found) {
	p.literals, p.out = p.literals[:0], p.out[:0]
	run := uint32(0)
	for i := 0; i < len(f.data); {
		m := f.of(i)
		n := 0
		if len(m) > 0 {
			n = min(int(m[0].size), len(f.data)-i)
		}
		if n < zblock.MinMatch {
			p.literals, run = append(p.literals, f.data[i]), run+1
			i++
			continue
		}
		p.out = append(p.out, zblock.Sequence{Literals: run, Match: uint32(n), Offset: m[0].offset})
		run, i = 0, i+n
	}
}

func (p *parser) walk(f *found) {
	n := len(f.data)
	nodes := p.nodes[:n+1]
	for i := range nodes {
		nodes[i].price = infinite
	}
	nodes[0] = node{repeats: zblock.FirstRepeats(), price: p.prices.run(0)}
	for at := 0; at < n; {
		if nodes[at].price < infinite {
			nodes.reach(at)
			if size := p.matches(f, nodes, at); size > 0 {
				at += size
				continue
			}
			p.literal(f, nodes, at)
		}
		at++
	}
}

// reach sets the repeated offsets of a place whose way is settled.
func (n path) reach(at int) {
	x := &n[at]
	switch {
	case at == 0:
	case x.size == 0:
		x.repeats = n[at-1].repeats
	default:
		from := &n[at-int(x.size)]
		x.repeats = from.repeats
		x.repeats.Use(x.offset, x.repeats.Value(x.offset, from.run))
	}
}

func (p *parser) literal(f *found, nodes path, at int) {
	x, y := &nodes[at], &nodes[at+1]
	price := x.price + p.prices.literal[f.data[at]] + p.prices.run(x.run+1) - p.prices.run(x.run)
	if price < y.price {
		y.price, y.size, y.run = price, 0, x.run+1
	}
}

// matches looks at all matches of a place. One that is long is taken, and its
// size returned.
func (p *parser) matches(f *found, nodes path, at int) int {
	x := &nodes[at]
	left := len(f.data) - at
	if left < 4 {
		return 0
	}
	if n := p.repeated(f, nodes, at, left); n > 0 {
		return n
	}
	base := x.price + p.prices.run(0)
	done := zblock.MinMatch - 1
	for _, m := range f.of(at) {
		n := min(int(m.size), left)
		price := base + p.prices.offset(x.repeats.Value(m.offset, x.run))
		if n >= long {
			p.set(nodes, at, n, m.offset, price)
			return n
		}
		for l := done + 1; l <= n; l++ {
			p.set(nodes, at, l, m.offset, price)
		}
		done = max(done, n)
	}
	return 0
}

// repeated looks at the matches with one of the last offsets.
func (p *parser) repeated(f *found, nodes path, at, left int) int {
	x := &nodes[at]
	for i, offset := range x.repeats {
		value := uint32(i + 1)
		if x.run == 0 {
			if value--; i == 0 {
				offset, value = offset-1, 3
			}
		}
		n := f.matchAt(at, int(offset), left)
		if n < zblock.MinMatch {
			continue
		}
		price := x.price + p.prices.run(0) + p.prices.offset(value)
		if n >= long {
			p.set(nodes, at, n, offset, price)
			return n
		}
		for l := zblock.MinMatch; l <= n; l++ {
			p.set(nodes, at, l, offset, price)
		}
	}
	return 0
}

// matchAt counts the bytes that are equal so far back; left is more than 3.
func (f *found) matchAt(at, offset, left int) int {
	cur := len(f.history) - len(f.data) + at
	if offset == 0 || offset > cur {
		return 0
	}
	a, b := f.history[cur:], f.history[cur-offset:]
	if a[0] != b[0] || a[1] != b[1] || a[2] != b[2] {
		return 0
	}
	return same(a[:left], b)
}

func (p *parser) set(nodes path, at, n int, offset, price uint32) {
	price += p.prices.size(uint32(n))
	if y := &nodes[at+n]; price < y.price {
		y.price, y.size, y.offset, y.run = price, uint32(n), offset, 0
	}
}

// collect goes back from the end.
func (p *parser) collect(f *found) {
	p.literals, p.out = p.literals[:0], p.out[:0]
	at := len(f.data)
	for at > 0 && p.nodes[at].size == 0 {
		at--
	}
	tail := at
	for at > 0 {
		x := p.nodes[at]
		from := &p.nodes[at-int(x.size)]
		p.out = append(p.out, zblock.Sequence{Literals: from.run, Match: x.size, Offset: x.offset})
		at -= int(x.size) + int(from.run)
	}
	for i, j := 0, len(p.out)-1; i < j; i, j = i+1, j-1 {
		p.out[i], p.out[j] = p.out[j], p.out[i]
	}
	at = 0
	for _, s := range p.out {
		p.literals = append(p.literals, f.data[at:at+int(s.Literals)]...)
		at += int(s.Literals + s.Match)
	}
	p.literals = append(p.literals, f.data[tail:]...)
}
