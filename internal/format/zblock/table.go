package zblock

import "math/bits"

// encoderTable writes the symbols of one kind.
type encoderTable struct {
	mode    uint8
	log     uint8
	head    []byte // the description
	states  [maxSize]uint16
	symbols [64]transform
}

type transform struct {
	bits uint32 // see encoderTable.move
	find int32
}

// choose finds the smallest way to write symbols that come so often.
func (t *encoderTable) choose(k *kind, counts *[64]uint32) {
	total, last, different := uint32(0), 0, 0
	for s, n := range counts {
		if n > 0 {
			total, last, different = total+n, s, different+1
		}
	}
	if different == 1 {
		*t = encoderTable{mode: oneSymbol, head: []byte{byte(last)}}
		return
	}
	best := cost(k.norm, k.log, counts[:last+1])
	norm, log, mode, head := k.norm, k.log, uint8(predefined), []byte(nil)
	for l := max(minLog, uint8(bits.Len(uint(different-1)))); l <= k.maxLog; l++ {
		n := normalize(counts[:last+1], total, l)
		h := appendNorm(nil, n, l)
		if c := cost(n, l, counts[:last+1]) + uint64(len(h))*8<<priceShift; c < best {
			best, norm, log, mode, head = c, n, l, described, h
		}
	}
	*t = encoderTable{mode: mode, log: log, head: head}
	t.build(norm)
}

// cost is the price of all symbols with a table.
func cost(norm []int16, log uint8, counts []uint32) (sum uint64) {
	for s, n := range counts {
		if n == 0 {
			continue
		}
		if s >= len(norm) || norm[s] == 0 {
			return 1 << 60
		}
		share := max(norm[s], -norm[s])
		sum += uint64(n) * uint64(uint32(log)<<priceShift-Log2(uint32(share)))
	}
	return sum
}

// normalize makes numbers of a sum of 1<<log; each symbol that occurs has one.
func normalize(counts []uint32, total uint32, log uint8) []int16 {
	norm := make([]int16, len(counts))
	left := int64(1) << log
	for s, n := range counts {
		if n > 0 {
			share := max(1, (uint64(n)<<log+uint64(total)/2)/uint64(total))
			norm[s] = int16(share)
			left -= int64(share)
		}
	}
	for ; left > 0; left-- {
		norm[gains(counts, norm, 1)]++
	}
	for ; left < 0; left++ {
		norm[gains(counts, norm, -1)]--
	}
	return norm
}

// gains is the symbol to give one more or one less to.
func gains(counts []uint32, norm []int16, step int) (best int) {
	most := int64(-1 << 62)
	for s, n := range counts {
		if n == 0 || int(norm[s])+step < 1 {
			continue
		}
		g := int64(n) * (int64(Log2(uint32(int(norm[s])+step))) - int64(Log2(uint32(norm[s]))))
		if g > most {
			most, best = g, s
		}
	}
	return best
}

func (t *encoderTable) build(norm []int16) {
	var places [maxSize]uint8
	spread(norm, t.log, &places)
	var next [64]int
	at := 0
	for s, n := range norm {
		next[s] = at
		count := int(max(n, -n))
		switch {
		case count == 1:
			t.symbols[s] = transform{uint32(t.log)<<16 - 1<<t.log, int32(at - 1)}
		case count > 1:
			most := uint32(t.log) - uint32(bits.Len(uint(count-1))-1)
			t.symbols[s] = transform{most<<16 - uint32(count)<<most, int32(at - count)}
		}
		at += count
	}
	for i, s := range places[:1<<t.log] {
		t.states[next[s]] = uint16(1<<t.log + i)
		next[s]++
	}
}

// first is the state after the last symbol, which is the first written.
func (t *encoderTable) first(symbol uint8) uint32 {
	if t.mode == oneSymbol {
		return 0
	}
	s := t.symbols[symbol]
	n := (s.bits + 1<<15) >> 16
	return uint32(t.states[int32((n<<16-s.bits)>>n)+s.find])
}

// move writes a symbol.
func (t *encoderTable) move(w *bitWriter, state uint32, symbol uint8) uint32 {
	if t.mode == oneSymbol {
		return 0
	}
	s := t.symbols[symbol]
	n := (state + s.bits) >> 16
	w.add(state, uint8(n))
	return uint32(t.states[int32(state>>n)+s.find])
}

func (t *encoderTable) last(w *bitWriter, state uint32) { w.add(state, t.log) }
