package erofs

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	xattrHeaderSize = 12
	xattrEntrySize  = 4
	maxXattrArea    = xattrHeaderSize + 4*(1<<16-2) // what the inode's 16-bit count can say
	maxSharedXattrs = 255                           // per inode
)

// xattrPrefixes maps the number stored for a name's prefix to the prefix.
var xattrPrefixes = []struct {
	index  uint8
	prefix string
}{
	{1, "user."},
	{2, "system.posix_acl_access"},
	{3, "system.posix_acl_default"},
	{4, "trusted."},
	{6, "security."},
}

// xattrCount is the inode's xattr field for an area of that many bytes.
func xattrCount(size int) uint16 {
	if size == 0 {
		return 0
	}
	return uint16((size-xattrHeaderSize)/4 + 1)
}

func xattrSize(count uint16) int {
	if count == 0 {
		return 0
	}
	return xattrHeaderSize + 4*(int(count)-1)
}

// encodeXattr returns one entry, padded to 4 bytes.
func encodeXattr(name string, value []byte) (string, error) {
	for _, p := range xattrPrefixes {
		rest, ok := strings.CutPrefix(name, p.prefix)
		if !ok || (rest == "") != !strings.HasSuffix(p.prefix, ".") {
			continue
		}
		if len(rest) > 255 || len(value) > 1<<16-1 || strings.Contains(rest, "\x00") {
			return "", fmt.Errorf("xattr %q with %d bytes is too large", name, len(value))
		}
		b := make([]byte, xattrEntrySize, xattrEntrySize+len(rest)+len(value)+3)
		b[0], b[1] = uint8(len(rest)), p.index
		binary.LittleEndian.PutUint16(b[2:], uint16(len(value)))
		b = append(append(b, rest...), value...)
		return string(append(b, 0, 0, 0)[:(len(b)+3)/4*4]), nil
	}
	return "", fmt.Errorf("xattr %q is not supported, only user., trusted., security. and POSIX ACLs", name)
}

// xattrTable places entries: what several inodes have goes into a shared area
// once. Inodes are added in path order, so the area's order is fixed too.
type xattrTable struct {
	uses   map[string]int // by encoded entry
	ids    map[string]uint32
	shared []byte // the area; an entry's id is its offset / 4
}

// encodeXattrs returns a node's entries in the order of their names and
// counts them.
func (t *xattrTable) encodeXattrs(xattrs map[string][]byte) ([]string, error) {
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		e, err := encodeXattr(name, xattrs[name])
		if err != nil {
			return nil, err
		}
		t.uses[e]++
		entries = append(entries, e)
	}
	return entries, nil
}

// area builds the xattr area of an inode from its entries, after all inodes'
// entries were counted.
func (t *xattrTable) area(entries []string) ([]byte, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	var ids, inline []byte
	for _, e := range entries {
		if t.uses[e] < 2 || len(ids) == 4*maxSharedXattrs {
			inline = append(inline, e...)
			continue
		}
		id, ok := t.ids[e]
		if !ok {
			id = uint32(len(t.shared) / 4)
			t.ids[e] = id
			t.shared = append(t.shared, e...)
		}
		ids = binary.LittleEndian.AppendUint32(ids, id)
	}
	b := make([]byte, xattrHeaderSize, xattrHeaderSize+len(ids)+len(inline))
	b[4] = uint8(len(ids) / 4)
	b = append(append(b, ids...), inline...)
	if len(b) > maxXattrArea {
		return nil, fmt.Errorf("xattrs of %d bytes are too large", len(b))
	}
	return b, nil
}

// decodeXattr reads the entry at the start of b and returns the rest.
func decodeXattr(b []byte) (name string, value, rest []byte, err error) {
	if len(b) < xattrEntrySize {
		return "", nil, nil, fmt.Errorf("xattr of %d bytes is cut short", len(b))
	}
	nameEnd := xattrEntrySize + int(b[0])
	end := nameEnd + int(binary.LittleEndian.Uint16(b[2:]))
	if end > len(b) {
		return "", nil, nil, fmt.Errorf("xattr of %d bytes is cut short at %d", end, len(b))
	}
	for _, p := range xattrPrefixes {
		if p.index == b[1] {
			name = p.prefix + string(b[xattrEntrySize:nameEnd])
			return name, slices.Clone(b[nameEnd:end]), b[min(len(b), (end+3)/4*4):], nil
		}
	}
	return "", nil, nil, fmt.Errorf("xattr prefix %d is not supported", b[1])
}
