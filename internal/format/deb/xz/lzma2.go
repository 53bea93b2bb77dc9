package xz

import (
	"encoding/binary"
	"fmt"
)

// The largest chunk of LZMA2, bytes.
const (
	maxPacked   = 1 << 16
	maxUnpacked = 1 << 21
)

// decoder decodes one LZMA2 stream into a window: what was decoded stays in
// out as long as matches may need it. When the window is full, the dictionary
// moves to its start.
type decoder struct {
	lzma
	out      []byte
	dict     int // bytes that matches reach back at most
	base     int // index in out of the oldest byte that matches may use
	pos      int // index in out after the last decoded byte
	taken    int // index in out after the last byte given to the reader
	phase    int // plus an index in out: position since the dictionary reset
	finished bool

	needDict, needProperties bool
}

func (d *decoder) empty() {
	d.base, d.pos, d.taken, d.phase = 0, 0, 0, 0
}

func (d *decoder) reset(dict int) {
	d.empty()
	d.dict, d.finished, d.needDict, d.needProperties = dict, false, true, true
	if size := dict + max(dict/2, 2*maxUnpacked); len(d.out) < size {
		d.out = make([]byte, size)
	}
}

// take moves decoded bytes to p.
func (d *decoder) take(p []byte) int {
	n := copy(p, d.out[d.taken:d.pos])
	d.taken += n
	return n
}

// makeRoom makes sure that n more bytes fit. All is taken when it is called.
func (d *decoder) makeRoom(n int) {
	if d.pos+n <= len(d.out) {
		return
	}
	keep := min(d.dict, d.pos-d.base)
	shift := d.pos - keep
	copy(d.out, d.out[shift:d.pos])
	d.base, d.pos, d.taken, d.phase = 0, keep, keep, d.phase+shift
}

// fill decodes the next chunk.
func (d *decoder) fill(in *counter) error {
	control, err := in.ReadByte()
	if err != nil {
		return err
	}
	switch {
	case control == 0:
		d.finished = true
		return nil
	case control == 1 || control >= 0xe0:
		d.base, d.phase = d.pos, -d.pos
		d.needDict, d.needProperties = false, true
	case d.needDict || control > 2 && control < 0x80:
		return errCorrupt
	}
	if control < 0x80 {
		return d.stored(in)
	}
	return d.packed(in, control)
}

func (d *decoder) stored(in *counter) error {
	var h [2]byte
	if err := in.full(h[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(h[:])) + 1
	d.makeRoom(n)
	if err := in.full(d.out[d.pos : d.pos+n]); err != nil {
		return err
	}
	d.pos += n
	return nil
}

func (d *decoder) packed(in *counter, control byte) error {
	var h [4]byte
	if err := in.full(h[:]); err != nil {
		return err
	}
	unpacked := int(control&0x1f)<<16 + int(binary.BigEndian.Uint16(h[:])) + 1
	packed := int(binary.BigEndian.Uint16(h[2:])) + 1
	if control >= 0xc0 {
		properties, err := in.ReadByte()
		if err != nil {
			return err
		}
		if err := d.setProperties(properties); err != nil {
			return err
		}
		d.needProperties = false
	}
	if d.needProperties {
		return errCorrupt
	}
	if control >= 0xa0 {
		d.lzma.reset()
	}
	var first [rangeStart]byte
	if packed < rangeStart {
		return fmt.Errorf("%w: a chunk of %d bytes", errCorrupt, packed)
	}
	if err := in.full(first[:]); err != nil {
		return err
	}
	if err := in.full(d.in[:packed-rangeStart]); err != nil {
		return err
	}
	d.makeRoom(unpacked)
	base := max(d.base, d.pos-d.dict)
	err := d.chunk(packed-rangeStart, binary.BigEndian.Uint32(first[1:]), d.out, base, d.pos, d.pos+unpacked, d.phase)
	if err == nil {
		d.pos += unpacked
	}
	return err
}

// rangeStart is the number of bytes that start the range decoder; the first
// is not used.
const rangeStart = 5
