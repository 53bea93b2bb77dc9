package zblock

import "math/bits"

// decoderTable reads the symbols of one kind.
type decoderTable struct {
	log     uint8
	entries [maxSize]entry
}

// entry is a state: its symbol as a base and the bits behind it, and the
// state after it.
type entry struct {
	base        uint32
	next        uint16
	bits, extra uint8
}

// readTables reads the modes and the tables that are described.
func (d *Decoder) readTables(data []byte) (rest []byte, err error) {
	if len(data) == 0 || data[0]&3 != 0 {
		return nil, ErrDamaged
	}
	modes := [3]byte{data[0] >> 6, data[0] >> 4 & 3, data[0] >> 2 & 3}
	data = data[1:]
	for i, mode := range modes {
		if data, err = d.tables[i].read(&kinds[i], mode, data); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (t *decoderTable) read(k *kind, mode byte, data []byte) (rest []byte, err error) {
	switch mode {
	case predefined:
		return data, t.build(k, k.norm, k.log)
	case oneSymbol:
		if len(data) == 0 || int(data[0]) >= len(k.codes) {
			return nil, ErrDamaged
		}
		c := k.codes[data[0]]
		t.log, t.entries[0] = 0, entry{base: c.base, extra: c.bits}
		return data[1:], nil
	case described:
		norm, log, rest, err := readNorm(data, k)
		if err != nil {
			return nil, err
		}
		return rest, t.build(k, norm, log)
	}
	return nil, ErrDamaged
}

func (t *decoderTable) build(k *kind, norm []int16, log uint8) error {
	var places [maxSize]uint8
	if !spread(norm, log, &places) {
		return ErrDamaged
	}
	var next [64]uint16
	for s, n := range norm {
		next[s] = uint16(max(n, -n))
	}
	t.log = log
	for i, s := range places[:1<<log] {
		n := next[s]
		next[s]++
		width := log - uint8(bits.Len16(n)-1)
		t.entries[i] = entry{k.codes[s].base, n<<width - 1<<log, width, k.codes[s].bits}
	}
	return nil
}
