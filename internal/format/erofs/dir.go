package erofs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

const (
	direntSize = 12
	maxName    = 255
)

// entry is one name in a directory.
type entry struct {
	name string
	in   *inode // when writing
	nid  uint64 // when reading
}

// splitDir cuts a directory's entries, sorted by name, into blocks. It
// returns the index of each block's first entry and the bytes used in the
// last block. The size of a directory is that plus BlockSize for each other.
func splitDir(entries []entry) (starts []int, lastUsed int) {
	used := BlockSize + 1
	for i, e := range entries {
		need := direntSize + len(e.name)
		if used+need > BlockSize {
			starts = append(starts, i)
			used = 0
		}
		used += need
	}
	return starts, used
}

// encodeDir writes one block's entries to b: fixed-size records, then names.
func encodeDir(b []byte, entries []entry) {
	le := binary.LittleEndian
	nameAt := len(entries) * direntSize
	for i, e := range entries {
		record := b[i*direntSize:]
		le.PutUint64(record, e.in.nid)
		le.PutUint16(record[8:], uint16(nameAt))
		record[10] = fileTypes[e.in.node.Kind].dirent
		nameAt += copy(b[nameAt:], e.name)
	}
}

// decodeDir reads the entries of one block, or of the last, shorter part of a
// directory, "." and ".." included.
func decodeDir(b []byte) ([]entry, error) {
	le := binary.LittleEndian
	if len(b) < direntSize {
		return nil, fmt.Errorf("directory block of %d bytes is cut short", len(b))
	}
	first := int(le.Uint16(b[8:]))
	if first < direntSize || first%direntSize != 0 || first > len(b) {
		return nil, fmt.Errorf("directory block has its first name at byte %d of %d", first, len(b))
	}
	entries := make([]entry, first/direntSize)
	for i := range entries {
		record := b[i*direntSize:]
		from, to := int(le.Uint16(record[8:])), len(b)
		if i+1 < len(entries) {
			to = int(le.Uint16(record[direntSize+8:]))
		} else if from < to {
			to = from + len(cutAtNUL(b[from:]))
		}
		if from < first || from > to || to > len(b) {
			return nil, fmt.Errorf("directory entry %d has its name at bytes %d to %d of %d", i, from, to, len(b))
		}
		entries[i] = entry{name: string(b[from:to]), nid: le.Uint64(record)}
		if err := checkName(entries[i].name); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func cutAtNUL(b []byte) []byte {
	before, _, _ := bytes.Cut(b, []byte{0})
	return before
}

func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("file name %.300q is not 1 to %d bytes without slash and NUL", name, maxName)
	}
	return nil
}
