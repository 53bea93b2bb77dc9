package squeeze

import "wellcar.dev/internal/format/zblock"

// prices are what symbols cost by how often they came.
type prices struct {
	literal    [256]uint32
	runs       [37]uint32 // the last is of a block without a match
	sizes      [53]uint32
	offsets    [32]uint32
	shortRuns  [64]uint32
	shortSizes [256]uint32
}

func (p *prices) run(n uint32) uint32 {
	if n < 64 {
		return p.shortRuns[n]
	}
	return p.runs[zblock.LiteralsCode(n)]
}

func (p *prices) size(n uint32) uint32 {
	if n < 256 {
		return p.shortSizes[n]
	}
	return p.sizes[zblock.MatchCode(n)]
}

func (p *prices) offset(value uint32) uint32 { return p.offsets[zblock.OffsetCode(value)] }

// counts are how often symbols came.
type counts struct {
	literal [256]uint32
	runs    [36]uint32
	sizes   [53]uint32
	offsets [32]uint32
}

func (c *counts) add(lits []byte, out []zblock.Sequence) {
	for _, b := range lits {
		c.literal[b]++
	}
	r := zblock.FirstRepeats()
	for _, s := range out {
		v := r.Value(s.Offset, s.Literals)
		r.Use(s.Offset, v)
		c.runs[zblock.LiteralsCode(s.Literals)]++
		c.sizes[zblock.MatchCode(s.Match)]++
		c.offsets[zblock.OffsetCode(v)]++
	}
}

func (p *prices) set(c *counts) {
	price(p.literal[:], c.literal[:], 1)
	price(p.runs[:36], c.runs[:], 4)
	price(p.sizes[:], c.sizes[:], 4)
	price(p.offsets[:], c.offsets[:], 4)
	for i := range c.runs {
		p.runs[i] += uint32(zblock.LiteralsBits(uint8(i))) * zblock.PriceOfBit
	}
	for i := range p.sizes {
		p.sizes[i] += uint32(zblock.MatchBits(uint8(i))) * zblock.PriceOfBit
	}
	for i := range p.offsets {
		p.offsets[i] += uint32(i) * zblock.PriceOfBit
	}
	for i := range p.shortRuns {
		p.shortRuns[i] = p.runs[zblock.LiteralsCode(uint32(i))]
	}
	for i := uint32(zblock.MinMatch); i < 256; i++ {
		p.shortSizes[i] = p.sizes[zblock.MatchCode(i)]
	}
}

// price takes the counts, so many times, and one of each as what will come.
func price(out, counts []uint32, scale uint32) {
	total := uint32(0)
	for _, n := range counts {
		total += n*scale + 1
	}
	all := zblock.Log2(total)
	for i, n := range counts {
		out[i] = all - zblock.Log2(n*scale+1)
	}
}

// usual are counts to begin with.
func usual(data []byte) (c counts) {
	for _, b := range data {
		c.literal[b]++
	}
	for i := range c.runs {
		c.runs[i] = uint32(max(1, 200>>min(i, 8)))
	}
	for i := range c.sizes {
		c.sizes[i] = uint32(max(1, 100-3*i))
	}
	for i := range c.offsets {
		c.offsets[i] = 40
	}
	c.offsets[0] = 150
	for i := 27; i < 32; i++ {
		c.offsets[i] = 3
	}
	return c
}
