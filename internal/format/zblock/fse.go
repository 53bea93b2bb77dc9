package zblock

import "math/bits"

// Kinds of tables, in the order in which a block has them.
const (
	literals = iota
	offsets
	matches
)

// kind is what is known of a table without its block.
type kind struct {
	codes  []code
	maxLog uint8
	norm   []int16 // the predefined table
	log    uint8
}

var kinds = [3]kind{
	literals: {literalCodes, 9, []int16{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1}, 6},
	offsets:  {offsetCodes, 8, []int16{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}, 5},
	matches: {matchCodes, 9, []int16{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1}, 6},
}

const (
	minLog  = 5
	maxSize = 1 << 9 // of a table
)

// How a table is stored.
const (
	predefined = iota
	oneSymbol
	described
	repeated
)

// spread puts the symbols of a table in their places.
func spread(norm []int16, log uint8, places *[maxSize]uint8) bool {
	size := 1 << log
	high := size
	for s, n := range norm {
		if n == -1 {
			high--
			places[high] = uint8(s)
		}
	}
	at, step := 0, size>>1+size>>3+3
	for s, n := range norm {
		for range n {
			places[at] = uint8(s)
			for at = (at + step) & (size - 1); at >= high; {
				at = (at + step) & (size - 1)
			}
		}
	}
	return at == 0
}

// appendNorm writes the description of a table.
func appendNorm(out []byte, norm []int16, log uint8) []byte {
	w := bitWriter{out: out}
	w.add(uint32(log-minLog), 4)
	left := int32(1<<log + 1)
	for s := 0; left > 1; {
		n := int32(norm[s])
		s++
		w.norm(n, left)
		left -= max(n, -n)
		if n != 0 {
			continue
		}
		zeros := 0
		for norm[s] == 0 {
			zeros++
			s++
		}
		for ; zeros >= 3; zeros -= 3 {
			w.add(3, 2)
		}
		w.add(uint32(zeros), 2)
	}
	w.flush()
	return w.out
}

// norm writes one value, of which left-1 may be.
func (w *bitWriter) norm(n, left int32) {
	width := uint8(bits.Len32(uint32(left)))
	low := int32(1)<<width - 1 - left // this many values take a bit less
	v := n + 1
	switch {
	case v < low:
		w.add(uint32(v), width-1)
	case v < 1<<(width-1):
		w.add(uint32(v), width)
	default:
		w.add(uint32(v+low), width)
	}
}

// readNorm reads the description of a table; rest is what follows.
func readNorm(data []byte, k *kind) (norm []int16, log uint8, rest []byte, err error) {
	r := forward{data: data}
	if log = uint8(r.take(4)) + minLog; log > k.maxLog {
		return nil, 0, nil, ErrDamaged
	}
	left := int32(1<<log + 1)
	for left > 1 && len(norm) < len(k.codes) {
		n := r.norm(left)
		left -= max(n, -n)
		norm = append(norm, int16(n))
		for n == 0 {
			zeros := r.take(2)
			norm = append(norm, make([]int16, zeros)...)
			if zeros < 3 {
				break
			}
		}
	}
	if left != 1 || len(norm) > len(k.codes) || r.at > 8*len(data) {
		return nil, 0, nil, ErrDamaged
	}
	return norm, log, data[(r.at+7)/8:], nil
}

// forward reads bits from the lowest on; behind the end there are zeros.
type forward struct {
	data []byte
	at   int // bits
}

func (r *forward) take(n uint8) uint32 {
	v := uint32(0)
	for i := range n {
		if b := r.at / 8; b < len(r.data) {
			v |= uint32(r.data[b]) >> (r.at % 8) & 1 << i
		}
		r.at++
	}
	return v
}

func (r *forward) norm(left int32) int32 {
	width := uint8(bits.Len32(uint32(left)))
	low := int32(1)<<width - 1 - left
	v := int32(r.take(width - 1))
	if v >= low {
		v |= int32(r.take(1)) << (width - 1)
		if v >= 1<<(width-1) {
			v -= low
		}
	}
	return v - 1
}
