package squeeze

import (
	"errors"
	"fmt"
	"io"
)

// repeat is content that was there before, anywhere.
type repeat struct {
	at, from, size int64
}

// What counts as a match, bytes.
const (
	sampleSize    = 64        // that must agree for one to be seen
	minRepeat     = 96        // to be worth an operation
	sampling      = 1<<6 - 1  // one place in 64 is remembered
	samplesLog    = 23        // places that are remembered
	readSize      = 1 << 20   // read at once
	longestRepeat = 256 << 10 // of one match
)

// repeats finds content that is repeated from further back than near bytes. It reads the image
// once, and places again where it looks like a match.
func repeats(r io.ReaderAt, size, near int64) ([]repeat, error) {
	f := &scanner{r: r, size: size, near: near, table: make([]uint32, 1<<samplesLog)}
	buf := make([]byte, readSize)
	for at := int64(0); at < size; at += readSize {
		part := buf[:min(readSize, size-at)]
		if err := readFull(r, part, at); err != nil {
			return nil, fmt.Errorf("looking for repeated content: %w", err)
		}
		if err := f.scan(part, at); err != nil {
			return nil, fmt.Errorf("looking for repeated content: %w", err)
		}
	}
	return f.found, nil
}

type scanner struct {
	r          io.ReaderAt
	size, near int64
	table      []uint32 // places + 1, by hash
	hash       uint64   // of the last 64 bytes
	found      []repeat
	done       int64 // the end of the last match
	a, b       [4096]byte
}

// scan goes through bytes of the image. Each byte shifts the hash by one bit,
// so it depends on the last 64 only.
func (f *scanner) scan(data []byte, at int64) error {
	h := f.hash
	for i, c := range data {
		h = h<<1 + gear[c]
		if h>>58&sampling != 0 {
			continue
		}
		place := at + int64(i) + 1 // the end of the sample
		slot := &f.table[(h*0x9e3779b97f4a7c15)>>(64-samplesLog)]
		before := int64(*slot) - 1
		*slot = uint32(place + 1)
		if before < sampleSize || place-before <= f.near || place-sampleSize < f.done {
			continue
		}
		if err := f.try(place-sampleSize, before-sampleSize); err != nil {
			return err
		}
	}
	f.hash = h
	return nil
}

// try extends a probable match both ways.
func (f *scanner) try(at, from int64) error {
	ahead, err := f.ahead(at, from)
	if err != nil || ahead < sampleSize {
		return err
	}
	behind, err := f.behind(at, from)
	if err != nil {
		return err
	}
	m := repeat{at - behind, from - behind, behind + ahead}
	if m.size < minRepeat || m.at-m.from < m.size {
		return nil
	}
	f.found = append(f.found, m)
	f.done = m.at + m.size
	return nil
}

// ahead counts the bytes that are equal from two places on. Most tries end
// within the first few, so it begins with few.
func (f *scanner) ahead(at, from int64) (int64, error) {
	most := min(f.size-at, longestRepeat)
	for done, step := int64(0), int64(sampleSize); ; done, step = done+step, min(4*step, int64(len(f.a))) {
		step = min(step, most-done)
		if step == 0 {
			return most, nil
		}
		if err := f.read(step, at+done, from+done); err != nil {
			return 0, err
		}
		for i := range step {
			if f.a[i] != f.b[i] {
				return done + i, nil
			}
		}
	}
}

// behind counts the bytes that are equal before two places.
func (f *scanner) behind(at, from int64) (int64, error) {
	most := min(at-f.done, from, int64(len(f.a)))
	if err := f.read(most, at-most, from-most); err != nil {
		return 0, err
	}
	n := int64(0)
	for n < most && f.a[most-n-1] == f.b[most-n-1] {
		n++
	}
	return n, nil
}

func (f *scanner) read(size, at, from int64) error {
	if err := readFull(f.r, f.a[:size], at); err != nil {
		return err
	}
	return readFull(f.r, f.b[:size], from)
}

// gear has a number for each byte, from a fixed generator.
var gear = func() (table [256]uint64) {
	x := uint64(0x2545f4914f6cdd1d)
	for i := range table {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		table[i] = x
	}
	return table
}()

func readFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading %d bytes at %d: %w", len(p), at, err)
}
