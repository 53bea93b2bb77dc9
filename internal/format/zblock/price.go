package zblock

import "math/bits"

// Prices are in parts of a bit, so that they are the same on every machine.
const priceShift = 8

// PriceOfBit is the price of one bit.
const PriceOfBit = 1 << priceShift

// Log2 is the logarithm of a number that is not zero, as a price.
func Log2(v uint32) uint32 {
	n := uint32(bits.Len32(v)) - 1
	return n<<priceShift + uint32(fractions[(uint64(v)<<32>>n)>>(32-fractionBits)&(1<<fractionBits-1)])
}

const fractionBits = 10

// fractions are the logarithms of 1 to 2.
var fractions = func() (table [1 << fractionBits]uint16) {
	for i := range table {
		x := uint64(1)<<31 + uint64(i)<<(31-fractionBits)
		log := uint16(0)
		for b := range priceShift {
			if x = x * x >> 31; x >= 1<<32 {
				log |= 1 << (priceShift - 1 - b)
				x >>= 1
			}
		}
		table[i] = log
	}
	return table
}()
