package delta

import (
	"errors"
	"fmt"

	"wellcar.dev/internal/format/zblock"
)

// How a segment of a full payload is stored: its first byte.
const (
	fullPlain byte = iota // the bytes themselves
	fullOne               // one byte, again and again
	fullBlock             // a block made with what the image has in front of it
)

// FullSegment is the most that a segment of /usr in a full payload makes.
const FullSegment = zblock.MaxSize

// StoreFull writes a segment of /usr in a full payload. block is the body of a block
// that makes it, or nil.
func StoreFull(data, block []byte) []byte {
	switch {
	case same(data):
		return []byte{fullOne, data[0]}
	case block != nil && len(block) < len(data):
		return append([]byte{fullBlock}, block...)
	}
	return StorePlain(data)
}

// StorePlain writes a segment of the kernel image in a full payload.
func StorePlain(data []byte) []byte { return append([]byte{fullPlain}, data...) }

func same(data []byte) bool {
	for _, b := range data {
		if b != data[0] {
			return false
		}
	}
	return true
}

// full makes a segment of /usr in a full payload.
func (a *Applier) full(s Segment, stored []byte) error {
	if a.window == nil {
		a.window = zblock.NewWindow(a.New)
	}
	if err := a.window.Move(s.Start); err != nil {
		return err
	}
	made, err := a.content(s, stored)
	if err != nil {
		return err
	}
	_, err = a.New.WriteAt(made, s.Start)
	return err
}

func (a *Applier) content(s Segment, stored []byte) ([]byte, error) {
	if s.Size > FullSegment || len(stored) == 0 {
		return nil, ErrDamaged
	}
	kind, rest := stored[0], stored[1:]
	switch {
	case kind == fullBlock:
		made, err := a.window.Block(rest, int(s.Size))
		if errors.Is(err, zblock.ErrDamaged) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return made, err
	case kind == fullPlain && int64(len(rest)) == s.Size:
		a.window.Add(rest)
		return rest, nil
	case kind == fullOne && len(rest) == 1:
		made := make([]byte, s.Size)
		for i := range made {
			made[i] = rest[0]
		}
		a.window.Add(made)
		return made, nil
	}
	return nil, ErrDamaged
}

// reused puts bytes of the old release in their place.
func (a *Applier) reused(s Segment, made []byte) error {
	if a.window != nil && a.window.Move(s.Start) == nil {
		a.window.Add(made)
	}
	_, err := a.New.WriteAt(made, s.Start)
	return err
}

// plainOf is what a segment of the kernel image in a full payload makes.
func plainOf(s Segment, stored []byte) ([]byte, error) {
	if len(stored) == 0 || stored[0] != fullPlain || int64(len(stored)-1) != s.Size {
		return nil, ErrDamaged
	}
	return stored[1:], nil
}
