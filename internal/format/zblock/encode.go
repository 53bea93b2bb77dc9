package zblock

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/huff0"
)

// Encoder writes blocks. It is for one goroutine.
type Encoder struct {
	huffman huff0.Scratch
	tables  [3]encoderTable
	written []writtenSequence
}

// writtenSequence is a sequence as codes and the bits behind them.
type writtenSequence struct {
	code  [3]uint8
	extra [3]uint32
}

// Append writes the body of a block that makes the literals and the
// sequences; literals behind the last sequence are the end.
func (e *Encoder) Append(out, lits []byte, sequences []Sequence) ([]byte, error) {
	out, err := e.literals(out, lits)
	if err != nil {
		return nil, fmt.Errorf("compressing literals: %w", err)
	}
	out = appendCount(out, len(sequences))
	if len(sequences) == 0 {
		return out, nil
	}
	e.codes(sequences)
	out = append(out, e.tables[literals].mode<<6|e.tables[offsets].mode<<4|e.tables[matches].mode<<2)
	for i := range e.tables {
		out = append(out, e.tables[i].head...)
	}
	return e.sequences(out), nil
}

// Kinds of literals.
const (
	plainLiterals = iota
	oneLiteral
	packedLiterals
	treelessLiterals
)

func (e *Encoder) literals(out, lits []byte) ([]byte, error) {
	single := len(lits) < 1024
	pack := huff0.Compress4X
	if single {
		pack = huff0.Compress1X
	}
	e.huffman.Reuse = huff0.ReusePolicyNone
	var packed []byte
	err := huff0.ErrIncompressible
	if len(lits) > 16 {
		packed, _, err = pack(lits, &e.huffman)
	}
	switch {
	case errors.Is(err, huff0.ErrUseRLE):
		return append(literalsSize(out, oneLiteral, len(lits)), lits[0]), nil
	case err == nil && len(packed)+2 < len(lits):
		return append(literalsSizes(out, len(lits), len(packed), single), packed...), nil
	case err == nil || errors.Is(err, huff0.ErrIncompressible):
		return append(literalsSize(out, plainLiterals, len(lits)), lits...), nil
	}
	return nil, err
}

func literalsSize(out []byte, kind byte, n int) []byte {
	switch {
	case n < 1<<5:
		return append(out, kind|byte(n)<<3)
	case n < 1<<12:
		return append(out, kind|1<<2|byte(n)<<4, byte(n>>4))
	}
	return append(out, kind|3<<2|byte(n)<<4, byte(n>>4), byte(n>>12))
}

func literalsSizes(out []byte, n, packed int, single bool) []byte {
	width, format, size := 18, 3, 5
	switch {
	case n < 1<<10 && packed < 1<<10:
		width, format, size = 10, 1, 3
		if single {
			format = 0
		}
	case n < 1<<14 && packed < 1<<14:
		width, format, size = 14, 2, 4
	}
	v := uint64(packedLiterals) | uint64(format)<<2 | uint64(n)<<4 | uint64(packed)<<(4+width)
	for ; size > 0; size-- {
		out = append(out, byte(v))
		v >>= 8
	}
	return out
}

func appendCount(out []byte, n int) []byte {
	switch {
	case n < 128:
		return append(out, byte(n))
	case n < 0x7f00:
		return append(out, byte(n>>8)+128, byte(n))
	}
	n -= 0x7f00
	return append(out, 255, byte(n), byte(n>>8))
}

// codes turns sequences into codes, and makes the tables.
func (e *Encoder) codes(sequences []Sequence) {
	e.written = e.written[:0]
	repeats := FirstRepeats()
	var counts [3][64]uint32
	for _, s := range sequences {
		v := repeats.Value(s.Offset, s.Literals)
		repeats.Use(s.Offset, v)
		w := writtenSequence{code: [3]uint8{LiteralsCode(s.Literals), OffsetCode(v), MatchCode(s.Match)}}
		w.extra = [3]uint32{s.Literals, v, s.Match}
		for i, c := range w.code {
			w.extra[i] -= kinds[i].codes[c].base
			counts[i][c]++
		}
		e.written = append(e.written, w)
	}
	for i := range e.tables {
		e.tables[i].choose(&kinds[i], &counts[i])
	}
}

func (e *Encoder) sequences(out []byte) []byte {
	w := &bitWriter{out: out}
	lit, off, match := &e.tables[literals], &e.tables[offsets], &e.tables[matches]
	var l, o, m uint32
	for i := len(e.written) - 1; i >= 0; i-- {
		s := &e.written[i]
		if i == len(e.written)-1 {
			m, o, l = match.first(s.code[matches]), off.first(s.code[offsets]), lit.first(s.code[literals])
		} else {
			o = off.move(w, o, s.code[offsets])
			m = match.move(w, m, s.code[matches])
			l = lit.move(w, l, s.code[literals])
		}
		w.add(s.extra[literals], literalCodes[s.code[literals]].bits)
		w.add(s.extra[matches], matchCodes[s.code[matches]].bits)
		w.add(s.extra[offsets], s.code[offsets])
	}
	match.last(w, m)
	off.last(w, o)
	lit.last(w, l)
	w.close()
	return w.out
}
