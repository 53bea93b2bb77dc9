package xz

import "fmt"

// The shape of an LZMA decoder (the LZMA specification, "Main loop").
const (
	states       = 16 // 12 in use; a power of two spares checks
	posStatesMax = 16
	literalSize  = 0x300 // probabilities per literal context
	literalMax   = literalSize << 4
	minMatch     = 2

	probInit  = 1 << 10
	rangeTop  = 1 << 24
	moveBits  = 5
	probBits  = 11
	probMax   = 1 << probBits
	lowLength = 8 // lengths of the first and the second group
)

type lengthCoder struct {
	choice, choice2 uint16
	low, mid        [posStatesMax][lowLength]uint16
	high            [256]uint16
}

// probabilities is all that adapts to the data; a state reset fills it anew.
type probabilities struct {
	isMatch, isRep0Long           [states][posStatesMax]uint16
	isRep, isRep0, isRep1, isRep2 [states]uint16
	slots                         [4][64]uint16
	special                       [128]uint16
	align                         [16]uint16
	match, rep                    lengthCoder
	literals                      [literalMax]uint16
}

// lzma decodes the LZMA chunks of one LZMA2 stream.
type lzma struct {
	p          probabilities
	state      uint8
	reps       [4]uint32 // the last distances, less 1
	lc, lp, pb uint32
	in         [maxPacked]byte // the chunk, without the 5 bytes that start it
}

func (d *lzma) setProperties(b byte) error {
	if b >= 9*5*5 {
		return fmt.Errorf("%w: LZMA properties %d", errCorrupt, b)
	}
	d.lc, d.lp, d.pb = uint32(b%9), uint32(b/9%5), uint32(b/45)
	if d.lc+d.lp > 4 {
		return fmt.Errorf("%w: lc+lp is %d, over 4", errCorrupt, d.lc+d.lp)
	}
	return nil
}

func (d *lzma) reset() {
	d.state, d.reps = 0, [4]uint32{}
	p := &d.p
	for s := range p.isMatch {
		fill(p.isMatch[s][:])
		fill(p.isRep0Long[s][:])
	}
	for _, t := range [][]uint16{p.isRep[:], p.isRep0[:], p.isRep1[:], p.isRep2[:], p.special[:], p.align[:],
		p.slots[0][:], p.slots[1][:], p.slots[2][:], p.slots[3][:], p.literals[:literalSize<<(d.lc+d.lp)]} {
		fill(t)
	}
	for _, l := range []*lengthCoder{&p.match, &p.rep} {
		l.choice, l.choice2 = probInit, probInit
		fill(l.high[:])
		for i := range l.low {
			fill(l.low[i][:])
			fill(l.mid[i][:])
		}
	}
}

func fill(t []uint16) {
	for i := range t {
		t[i] = probInit
	}
}

// The state after a symbol says of which kinds the last ones were.
var (
	afterLiteral = [states]uint8{0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5}
	afterMatch   = [states]uint8{7, 7, 7, 7, 7, 7, 7, 10, 10, 10, 10, 10}
	afterRepeat  = [states]uint8{8, 8, 8, 8, 8, 8, 8, 11, 11, 11, 11, 11}
	afterShort   = [states]uint8{9, 9, 9, 9, 9, 9, 9, 11, 11, 11, 11, 11}
)

// literalStates is the number of states in which the last symbol was a literal.
const literalStates = 7

// chunk decodes the chunk of size bytes in d.in, whose first four bytes are
// code, into out[pos:end]. Matches may repeat what is in out from base on.
// phase plus an index of out is the position since the dictionary began.
func (d *lzma) chunk(size int, code uint32, out []byte, base, pos, end, phase int) error {
	c := coder{width: 1<<32 - 1, code: code}
	p, in, state := &d.p, &d.in, d.state
	posMask, literalMask := 1<<d.pb-1, 1<<d.lp-1
	out = out[:end]
	for pos < end {
		posState := uint32((pos + phase) & posMask % posStatesMax)
		var bit uint32
		if c, bit = c.bit(&p.isMatch[state%states][posState], in); bit == 0 {
			context := 0
			if pos > base {
				context = int(out[pos-1] >> (8 - d.lc))
			}
			context += (pos + phase) & literalMask << d.lc
			probs := (*[literalSize]uint16)(p.literals[literalSize*context:])
			if state < literalStates {
				c, out[pos] = c.literal(probs, in)
			} else {
				expected := pos - 1 - int(d.reps[0])
				if expected < base {
					return errCorrupt
				}
				c, out[pos] = c.literalAfterMatch(probs, out[expected], in)
			}
			state = afterLiteral[state%states]
			pos++
			continue
		}
		var length int
		c, state, length = d.match(c, state, posState)
		back := int(d.reps[0]) + 1
		if back > pos-base || length > end-pos {
			return errCorrupt
		}
		repeat(out, pos, back, length)
		pos += length
	}
	d.state = state
	if c.width < rangeTop {
		c.code = c.code<<8 | uint32(in[c.at%maxPacked])
		c.at++
	}
	if c.code != 0 || int(c.at) != size {
		return errCorrupt
	}
	return nil
}

// repeat copies length bytes from back bytes before pos, which may be fewer.
func repeat(out []byte, pos, back, length int) {
	if back >= length {
		copy(out[pos:pos+length], out[pos-back:])
		return
	}
	from := out[pos-back : pos+length-back]
	for i, to := 0, out[pos:pos+length]; i < len(from) && i < len(to); i++ {
		to[i] = from[i]
	}
}

// match decodes what to repeat: the length, and the distance to d.reps[0].
func (d *lzma) match(c coder, state uint8, posState uint32) (coder, uint8, int) {
	p, in := &d.p, &d.in
	var bit, length uint32
	if c, bit = c.bit(&p.isRep[state%states], in); bit == 0 {
		d.reps[3], d.reps[2], d.reps[1] = d.reps[2], d.reps[1], d.reps[0]
		c, length = c.length(&p.match, posState, in)
		c, d.reps[0] = d.distance(c, min(length, 3))
		return c, afterMatch[state%states], int(length) + minMatch
	}
	if c, bit = c.bit(&p.isRep0[state%states], in); bit == 0 {
		if c, bit = c.bit(&p.isRep0Long[state%states][posState], in); bit == 0 {
			return c, afterShort[state%states], 1
		}
	} else {
		var which uint32
		if c, bit = c.bit(&p.isRep1[state%states], in); bit == 0 {
			which = 1
		} else {
			c, bit = c.bit(&p.isRep2[state%states], in)
			which = 2 + bit
		}
		back := d.reps[which]
		copy(d.reps[1:which+1], d.reps[:which])
		d.reps[0] = back
	}
	c, length = c.length(&p.rep, posState, in)
	return c, afterRepeat[state%states], int(length) + minMatch
}

// Distances below 4 are their slot, those below 128 (slot 14) have all their
// bits modelled, the others the highest and the lowest four.
const (
	firstSplitSlot = 4
	firstLongSlot  = 14
	alignBits      = 4
)

// distance decodes a distance, less 1. The length chooses the probabilities.
func (d *lzma) distance(c coder, lengthClass uint32) (coder, uint32) {
	p, in := &d.p, &d.in
	c, slot := c.tree(p.slots[lengthClass][:], 6, in)
	if slot < firstSplitSlot {
		return c, slot
	}
	bits := slot>>1 - 1
	high := (2 | slot&1) << bits
	var low, middle uint32
	if slot < firstLongSlot {
		c, low = c.reverse(p.special[high-slot:], bits, in)
		return c, high + low
	}
	c, middle = c.direct(bits-alignBits, in)
	c, low = c.reverse(p.align[:], alignBits, in)
	return c, high + middle<<alignBits + low
}
