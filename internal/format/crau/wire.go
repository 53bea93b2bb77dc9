package crau

import (
	"encoding/binary"
	"errors"
)

// Wire types of protocol buffers
// (https://protobuf.dev/programming-guides/encoding/).
const (
	wireNumber = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// message is an encoded message that grows.
type message []byte

func (m *message) key(field, wire int) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|uint64(wire))
}

func (m *message) number(field int, n uint64) {
	m.key(field, wireNumber)
	*m = binary.AppendUvarint(*m, n)
}

func (m *message) bytes(field int, b []byte) {
	m.key(field, wireBytes)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}

var errWire = errors.New("it is no protocol buffer, or cut off")

// fields calls each with the number or the bytes of every field.
func fields(b []byte, each func(field int, n uint64, data []byte) error) error {
	for len(b) > 0 {
		key, used := binary.Uvarint(b)
		if used <= 0 || key>>3 == 0 || key>>3 > 1<<29 {
			return errWire
		}
		b = b[used:]
		n, data, rest, err := value(int(key&7), b)
		if err != nil {
			return err
		}
		if err := each(int(key>>3), n, data); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func value(wire int, b []byte) (n uint64, data, rest []byte, err error) {
	size := 0
	switch wire {
	case wireNumber:
		n, used := binary.Uvarint(b)
		if used <= 0 {
			return 0, nil, nil, errWire
		}
		return n, nil, b[used:], nil
	case wireBytes:
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return 0, nil, nil, errWire
		}
		b, size = b[used:], int(n)
	case wire64:
		size = 8
	case wire32:
		size = 4
	default:
		return 0, nil, nil, errWire
	}
	if size > len(b) {
		return 0, nil, nil, errWire
	}
	return 0, b[:size:size], b[size:], nil
}
