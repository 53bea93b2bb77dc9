package zblock

import (
	"fmt"

	"github.com/klauspost/compress/huff0"
)

// Decoder reads blocks. It is for one goroutine.
type Decoder struct {
	huffman *huff0.Scratch
	plain   []byte // unpacked literals
	tables  [3]decoderTable
}

// Far fills p with bytes that are before the history at hand: the first of
// them back bytes before its start.
type Far func(p []byte, back int) error

// Decode makes buf[at:end] from the body of a block. The history is buf[:at]
// and what far knows.
func (d *Decoder) Decode(buf []byte, at, end int, body []byte, far Far) error {
	lits, rest, err := d.literals(body)
	if err != nil {
		return err
	}
	n, rest, err := readCount(rest)
	if err != nil {
		return err
	}
	x := execution{buf: buf[:end], at: at, literals: lits, far: far}
	if n > 0 {
		if rest, err = d.readTables(rest); err != nil {
			return err
		}
		if err := d.run(&x, rest, n); err != nil {
			return err
		}
	} else if len(rest) > 0 {
		return ErrDamaged
	}
	if len(x.literals) != end-x.at {
		return ErrDamaged
	}
	copy(buf[x.at:end], x.literals)
	return nil
}

// literals unpacks the first section; rest is what follows.
func (d *Decoder) literals(body []byte) (lits, rest []byte, err error) {
	if len(body) == 0 {
		return nil, nil, ErrDamaged
	}
	kind, format := body[0]&3, body[0]>>2&3
	if kind == treelessLiterals {
		return nil, nil, ErrDamaged
	}
	if kind == packedLiterals {
		return d.packed(body, format)
	}
	head, shift := 1, 3
	if format&1 == 1 {
		head, shift = 1+int(format+1)/2, 4
	}
	size := int(little(body, head) >> shift)
	if len(body) < head || size > MaxSize {
		return nil, nil, ErrDamaged
	}
	rest = body[head:]
	stored := size
	if kind == oneLiteral {
		stored = 1
	}
	if len(rest) < stored {
		return nil, nil, ErrDamaged
	}
	if kind == plainLiterals {
		return rest[:size], rest[size:], nil
	}
	lits = d.room(size)
	for i := range lits {
		lits[i] = rest[0]
	}
	return lits, rest[1:], nil
}

func (d *Decoder) room(size int) []byte {
	if d.plain == nil {
		d.plain = make([]byte, MaxSize)
	}
	return d.plain[:size]
}

func (d *Decoder) packed(body []byte, format byte) (lits, rest []byte, err error) {
	head, width := 3, 10
	if format > 1 {
		head, width = int(format)+2, 4*int(format)+6
	}
	v := little(body, head) >> 4
	size, stored := int(v&(1<<width-1)), int(v>>width)
	if len(body) < head || len(body)-head < stored || size > MaxSize || size == 0 {
		return nil, nil, ErrDamaged
	}
	rest = body[head+stored:]
	var stream []byte
	if d.huffman, stream, err = huff0.ReadTable(body[head:head+stored], d.huffman); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	unpack := d.huffman.Decoder().Decompress4X
	if format == 0 {
		unpack = d.huffman.Decoder().Decompress1X
	}
	if lits, err = unpack(d.room(size)[:size:size], stream); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(lits) != size {
		return nil, nil, ErrDamaged
	}
	return lits, rest, nil
}

// little reads up to n bytes as a number.
func little(b []byte, n int) (v uint64) {
	for i := range min(n, len(b)) {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

func readCount(b []byte) (n int, rest []byte, err error) {
	size := 1
	if len(b) > 0 && b[0] >= 128 {
		size = 2
		if b[0] == 255 {
			size = 3
		}
	}
	if len(b) < size {
		return 0, nil, ErrDamaged
	}
	switch size {
	case 1:
		n = int(b[0])
	case 2:
		n = int(b[0]-128)<<8 | int(b[1])
	case 3:
		n = int(b[1]) | int(b[2])<<8 + 0x7f00
	}
	return n, b[size:], nil
}

// execution is a block in the making.
type execution struct {
	buf      []byte
	at       int
	literals []byte
	far      Far
}

// run reads the sequences and does them.
func (d *Decoder) run(x *execution, stream []byte, n int) error {
	var r bitReader
	if err := r.open(stream); err != nil {
		return err
	}
	lits, offs, mats := &d.tables[literals], &d.tables[offsets], &d.tables[matches]
	l, o, m := r.take(lits.log), r.take(offs.log), r.take(mats.log)
	repeats := FirstRepeats()
	for {
		le, oe, me := lits.entries[l&(maxSize-1)], offs.entries[o&(maxSize-1)], mats.entries[m&(maxSize-1)]
		r.fill()
		value := oe.base + r.take(oe.extra)
		r.fill()
		match := int(me.base + r.take(me.extra))
		literal := le.base + r.take(le.extra)
		offset := repeats.offset(value, literal)
		repeats.Use(offset, value)
		if err := x.do(int(literal), match, int(offset)); err != nil {
			return err
		}
		if n--; n == 0 {
			break
		}
		r.fill()
		l = uint32(le.next) + r.take(le.bits)
		m = uint32(me.next) + r.take(me.bits)
		o = uint32(oe.next) + r.take(oe.bits)
	}
	if !r.ended() {
		return ErrDamaged
	}
	return nil
}

// do copies literals and a match.
func (x *execution) do(literals, match, offset int) error {
	at, end := x.at, x.at+literals+match
	if literals > len(x.literals) || end > len(x.buf) || offset <= 0 {
		return ErrDamaged
	}
	if literals <= 16 && len(x.literals) >= 16 && at+16 <= len(x.buf) {
		*(*[16]byte)(x.buf[at:]) = *(*[16]byte)(x.literals)
	} else {
		copy(x.buf[at:], x.literals[:literals])
	}
	x.literals = x.literals[literals:]
	at += literals
	x.at = end
	from := at - offset
	if from < 0 {
		return x.before(at, end, -from)
	}
	if offset >= 16 && match <= 32 && at+32 <= len(x.buf) {
		*(*[16]byte)(x.buf[at:]) = *(*[16]byte)(x.buf[from:])
		*(*[16]byte)(x.buf[at+16:]) = *(*[16]byte)(x.buf[from+16:])
		return nil
	}
	x.repeat(at, end, from)
	return nil
}

// repeat copies from where the bytes may be in the making.
func (x *execution) repeat(at, end, from int) {
	for at < end {
		at += copy(x.buf[at:end], x.buf[from:at])
	}
}

// before makes a match that begins before the buffer.
func (x *execution) before(at, end, back int) error {
	n := min(end-at, back)
	if err := x.far(x.buf[at:at+n], back); err != nil {
		return err
	}
	x.repeat(at+n, end, 0)
	return nil
}
