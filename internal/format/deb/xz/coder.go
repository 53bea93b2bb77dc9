package xz

// coder is a range decoder. It is small enough to live in registers: each
// function takes one and returns the next. Reading past the end of the chunk
// wraps around in the buffer; the check at the chunk's end notices.
//
// The functions for several bits repeat the same few lines instead of calling
// for each bit: they are where all the time goes. They decide without a
// branch, because the bits of literals and distances cannot be foreseen:
// zero is all ones if the bit is 0, else 0.
type coder struct {
	width, code uint32
	at          uint32 // of the next byte in the chunk
}

type chunkBytes = [maxPacked]byte

// bit decodes one bit by a branch, for choices that are mostly foreseeable.
func (c coder) bit(p *uint16, in *chunkBytes) (coder, uint32) {
	if c.width < rangeTop {
		c.width <<= 8
		c.code = c.code<<8 | uint32(in[c.at%maxPacked])
		c.at++
	}
	prob := uint32(*p)
	bound := (c.width >> probBits) * prob
	if c.code < bound {
		c.width = bound
		*p = uint16(prob + (probMax-prob)>>moveBits)
		return c, 0
	}
	c.width -= bound
	c.code -= bound
	*p = uint16(prob - prob>>moveBits)
	return c, 1
}

// tree decodes bits bits, highest first, with one probability per prefix.
func (c coder) tree(probs []uint16, bits int, in *chunkBytes) (coder, uint32) {
	width, code, at := c.width, c.code, c.at
	symbol := uint32(1)
	for range bits {
		if width < rangeTop {
			width <<= 8
			code = code<<8 | uint32(in[at%maxPacked])
			at++
		}
		p := &probs[symbol]
		prob := uint32(*p)
		bound := (width >> probBits) * prob
		zero := uint32((int64(code) - int64(bound)) >> 63)
		width = bound&zero | (width-bound)&^zero
		code -= bound &^ zero
		*p = uint16(int32(prob) - (int32(prob)+int32(zero&unsureOffset))>>moveBits)
		symbol = symbol<<1 + 1 + zero
	}
	return coder{width, code, at}, symbol - 1<<bits
}

// unsureOffset makes one formula of both changes of a probability:
// p -= (p + offset) >> 5 is p += (2048 - p) >> 5 with it and p -= p >> 5 without.
const unsureOffset = 1<<32 - probMax + 1<<moveBits - 1

// literal decodes the eight bits of a byte.
func (c coder) literal(probs *[literalSize]uint16, in *chunkBytes) (coder, byte) {
	width, code, at := c.width, c.code, c.at
	symbol := uint32(1)
	for symbol < 0x100 {
		if width < rangeTop {
			width <<= 8
			code = code<<8 | uint32(in[at%maxPacked])
			at++
		}
		p := &probs[symbol]
		prob := uint32(*p)
		bound := (width >> probBits) * prob
		zero := uint32((int64(code) - int64(bound)) >> 63)
		width = bound&zero | (width-bound)&^zero
		code -= bound &^ zero
		*p = uint16(int32(prob) - (int32(prob)+int32(zero&unsureOffset))>>moveBits)
		symbol = symbol<<1 + 1 + zero
	}
	return coder{width, code, at}, byte(symbol)
}

// literalAfterMatch decodes a byte after a match. The byte that the match
// would have gone on with chooses the probabilities until a bit differs.
func (c coder) literalAfterMatch(probs *[literalSize]uint16, expected byte, in *chunkBytes) (coder, byte) {
	width, code, at := c.width, c.code, c.at
	symbol, offset, match := uint32(1), uint32(0x100), uint32(expected)
	for symbol < 0x100 {
		if width < rangeTop {
			width <<= 8
			code = code<<8 | uint32(in[at%maxPacked])
			at++
		}
		match <<= 1
		bit := match & offset
		p := &probs[offset+bit+symbol]
		prob := uint32(*p)
		bound := (width >> probBits) * prob
		zero := uint32((int64(code) - int64(bound)) >> 63)
		width = bound&zero | (width-bound)&^zero
		code -= bound &^ zero
		*p = uint16(int32(prob) - (int32(prob)+int32(zero&unsureOffset))>>moveBits)
		symbol = symbol<<1 + 1 + zero
		offset &= bit ^ zero
	}
	return coder{width, code, at}, byte(symbol)
}

// reverse decodes bits bits, lowest first, with probabilities from probs[1].
func (c coder) reverse(probs []uint16, bits uint32, in *chunkBytes) (coder, uint32) {
	symbol, value, bit := uint32(1), uint32(0), uint32(0)
	for i := range bits {
		c, bit = c.bit(&probs[symbol], in)
		symbol = symbol<<1 | bit
		value |= bit << i
	}
	return c, value
}

// direct decodes bits bits that are equally likely, highest first.
func (c coder) direct(bits uint32, in *chunkBytes) (coder, uint32) {
	value := uint32(0)
	for range bits {
		if c.width < rangeTop {
			c.width <<= 8
			c.code = c.code<<8 | uint32(in[c.at%maxPacked])
			c.at++
		}
		c.width >>= 1
		c.code -= c.width
		negative := uint32(int32(c.code) >> 31) // all ones: the bit is 0
		c.code += c.width & negative
		value = value<<1 + 1 + negative
	}
	return c, value
}

// length decodes the length of a match, less minMatch.
func (c coder) length(l *lengthCoder, pos uint32, in *chunkBytes) (coder, uint32) {
	var bit, n uint32
	if c, bit = c.bit(&l.choice, in); bit == 0 {
		return c.tree(l.low[pos][:], 3, in)
	}
	if c, bit = c.bit(&l.choice2, in); bit == 0 {
		c, n = c.tree(l.mid[pos][:], 3, in)
		return c, n + lowLength
	}
	c, n = c.tree(l.high[:], 8, in)
	return c, n + 2*lowLength
}
