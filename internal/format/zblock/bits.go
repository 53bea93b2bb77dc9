package zblock

import (
	"encoding/binary"
	"math/bits"
)

// bitWriter writes bits from the lowest on.
type bitWriter struct {
	out  []byte
	acc  uint64
	have uint
}

// add takes up to 32 bits.
func (w *bitWriter) add(v uint32, n uint8) {
	w.acc |= uint64(v) & (1<<n - 1) << w.have
	w.have += uint(n)
	if w.have >= 32 {
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(w.acc))
		w.acc >>= 32
		w.have -= 32
	}
}

// flush fills the last byte with zeros.
func (w *bitWriter) flush() {
	for n := int(w.have); n > 0; n -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
	w.acc, w.have = 0, 0
}

// close adds the bit that marks the end of a stream read backwards.
func (w *bitWriter) close() {
	w.add(1, 1)
	w.flush()
}

// bitReader reads a stream from its end.
type bitReader struct {
	data []byte
	at   int    // bytes that are not yet in acc
	acc  uint64 // the next bit is the highest
	have int    // bits in acc; below zero after reading too much
}

func (r *bitReader) open(data []byte) error {
	if len(data) == 0 || data[len(data)-1] == 0 {
		return ErrDamaged
	}
	*r = bitReader{data: data, at: len(data)}
	r.fill()
	r.skip(uint8(bits.LeadingZeros8(data[len(data)-1])) + 1)
	return nil
}

// fill makes at least 56 bits ready, or all that are left.
func (r *bitReader) fill() {
	if r.at >= 8 {
		n := (63 - r.have) >> 3
		word := binary.LittleEndian.Uint64(r.data[r.at-8:])
		r.acc |= word >> uint(r.have)
		r.at -= n
		r.have += n * 8
		return
	}
	r.fillLast()
}

func (r *bitReader) fillLast() {
	if r.have < 0 {
		return
	}
	for r.have <= 56 && r.at > 0 {
		r.at--
		r.acc |= uint64(r.data[r.at]) << uint(56-r.have)
		r.have += 8
	}
}

// take gives up to 32 bits.
func (r *bitReader) take(n uint8) uint32 {
	v := uint32(r.acc >> 1 >> (63 - n&63))
	r.acc <<= n & 63
	r.have -= int(n)
	return v
}

func (r *bitReader) skip(n uint8) { r.take(n) }

// ended says that all bits were read and none too many.
func (r *bitReader) ended() bool { return r.at == 0 && r.have == 0 }
