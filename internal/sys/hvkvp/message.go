// Package hvkvp receives the key-value pairs that a Hyper-V host gives to its
// guest. The host sends them once, when a program registers; the structures
// are those of linux/hyperv.h (hv_kvp_msg).
//
// It is for a time before the daemon of the system, hv_kvp_daemon, runs: two
// of them cannot register.
package hvkvp

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Operations of a message.
const (
	opSet      = 1
	opRegister = 100 // KVP_OP_REGISTER
	version1   = 101 // KVP_OP_REGISTER1
)

// Sizes of the structures, in bytes.
const (
	headSize    = 4
	messageSize = headSize + 7426 // the largest member is hv_kvp_ipaddr_value
	keySize     = 512
	valueSize   = 2048
)

// Entry is a pair and the pool that it is in.
type Entry struct {
	Pool       int
	Key, Value string
}

// register is the first message of a program.
func register() []byte {
	m := make([]byte, messageSize)
	m[0] = version1
	return m
}

// answer says that a message was taken (the error is in the first four bytes).
func answer() []byte { return make([]byte, messageSize) }

// parse reads a message; set tells whether it carries a pair.
func parse(m []byte) (e Entry, set bool, err error) {
	if len(m) < headSize+12+keySize+valueSize {
		return e, false, fmt.Errorf("a message of the host has %d bytes only", len(m))
	}
	if m[0] != opSet {
		return e, false, nil
	}
	data := m[headSize:]
	keyLength, valueLength := binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint32(data[8:])
	if keyLength > keySize || valueLength > valueSize {
		return e, false, fmt.Errorf("a message of the host has a key of %d and a value of %d bytes", keyLength, valueLength)
	}
	data = data[12:]
	key, value := data[:keySize][:keyLength], data[keySize:][:valueLength]
	return Entry{int(m[1]), trim(key), trim(value)}, true, nil
}

func trim(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}
