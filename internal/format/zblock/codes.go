package zblock

import "math/bits"

// code is a symbol of a length or an offset: bits are added to a base.
type code struct {
	base uint32
	bits uint8
}

// The codes of RFC 8878, section 3.1.1.3.2.1.1.
var (
	literalCodes = codes(0, 16, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	matchCodes   = codes(MinMatch, 32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	offsetCodes  = powers(32)
)

func codes(base uint32, plain int, extra ...uint8) []code {
	var all []code
	for range plain {
		all = append(all, code{base, 0})
		base++
	}
	for _, n := range extra {
		all = append(all, code{base, n})
		base += 1 << n
	}
	return all
}

func powers(n int) []code {
	all := make([]code, n)
	for i := range all {
		all[i] = code{1 << i, uint8(i)}
	}
	return all
}

// The codes of what comes most.
var (
	shortLiterals = lookup(literalCodes, 0, 64)
	shortMatches  = lookup(matchCodes, MinMatch, 128)
)

// lookup has the codes of small values.
func lookup(codes []code, base uint32, n int) []uint8 {
	all := make([]uint8, n)
	for c, k := range codes {
		for v := k.base; v < k.base+1<<k.bits && v-base < uint32(n); v++ {
			all[v-base] = uint8(c)
		}
	}
	return all
}

// LiteralsCode is the code of a number of literals.
func LiteralsCode(n uint32) uint8 {
	if n < 64 {
		return shortLiterals[n]
	}
	return uint8(bits.Len32(n)) + 18
}

// MatchCode is the code of the length of a match.
func MatchCode(n uint32) uint8 {
	if n -= MinMatch; n < 128 {
		return shortMatches[n]
	}
	return uint8(bits.Len32(n)) + 35
}

// LiteralsBits are the bits behind the code of a number of literals.
func LiteralsBits(c uint8) uint8 { return literalCodes[c].bits }

// MatchBits are the bits behind the code of a match.
func MatchBits(c uint8) uint8 { return matchCodes[c].bits }

// OffsetCode is the code of an offset's value, which is more than zero; as
// many bits are behind it.
func OffsetCode(v uint32) uint8 { return uint8(bits.Len32(v)) - 1 }

// Repeats are the last three offsets.
type Repeats [3]uint32

// FirstRepeats are those at the start of a block.
func FirstRepeats() Repeats { return firstOffsets }

// Value is how an offset is written after so many literals: 1 to 3 for a
// repeated one.
func (r *Repeats) Value(offset, literals uint32) uint32 {
	if literals > 0 {
		switch offset {
		case r[0]:
			return 1
		case r[1]:
			return 2
		case r[2]:
			return 3
		}
		return offset + 3
	}
	switch offset {
	case r[1]:
		return 1
	case r[2]:
		return 2
	case r[0] - 1:
		return 3
	}
	return offset + 3
}

// Use makes an offset the last one, after it was written as a value.
func (r *Repeats) Use(offset, value uint32) {
	switch {
	case value > 3 || offset != r[0] && offset != r[1]:
		r[0], r[1], r[2] = offset, r[0], r[1]
	case offset != r[0]:
		r[0], r[1] = r[1], r[0]
	}
}

// offset is what a value means after so many literals.
func (r *Repeats) offset(value, literals uint32) uint32 {
	if value > 3 {
		return value - 3
	}
	if literals == 0 {
		value++
	}
	if value == 4 {
		return r[0] - 1
	}
	return r[value-1]
}
