package iso9660

import (
	"encoding/binary"
	"errors"
)

// record is an entry of a directory (ECMA-119, 9.1).
type record struct {
	length  int
	extent  uint32 // sectors
	size    uint32 // bytes
	dir     bool
	several bool // more extents follow
	id      []byte
	use     []byte // system use field
}

var errRecord = errors.New("a directory record is damaged")

func parseRecord(b []byte) (record, error) {
	if len(b) < 34 {
		return record{}, errRecord
	}
	r := record{
		length: int(b[0]), extent: binary.LittleEndian.Uint32(b[2:]), size: binary.LittleEndian.Uint32(b[10:]),
		dir: b[25]&2 != 0, several: b[25]&0x80 != 0,
	}
	end := 33 + int(b[32])
	if r.length < 34 || r.length > len(b) || end > r.length {
		return record{}, errRecord
	}
	r.id = b[33:end]
	if end%2 != 0 { // padding after an identifier of even length
		end++
	}
	r.use = b[min(end, r.length):r.length]
	return r, nil
}

// special says that a record is the directory itself or the one above.
func (r record) special() bool { return len(r.id) == 1 && r.id[0] <= 1 }

// Continuation areas of one record are followed this often.
const mostAreas = 16

// rockRidge joins the parts of the alternate name NM (IEEE P1282, 4.1.4).
func (f *FS) rockRidge(rec record) string {
	area := rec.use[min(f.skip, len(rec.use)):]
	var name []byte
	for range mostAreas {
		next, more := nameParts(area, &name)
		if !more || next.size > sector {
			break
		}
		area = make([]byte, next.size)
		if _, err := f.r.ReadAt(area, int64(next.block)*sector+int64(next.offset)); err != nil {
			break
		}
	}
	return string(name)
}

// continuation is where the system use field goes on (IEEE P1281, 5.1).
type continuation struct{ block, offset, size uint32 }

func nameParts(area []byte, name *[]byte) (next continuation, more bool) {
	for len(area) >= 4 && int(area[2]) >= 4 && int(area[2]) <= len(area) {
		entry := area[:area[2]]
		area = area[area[2]:]
		switch tag := string(entry[:2]); {
		case tag == "ST":
			return next, false
		case tag == "NM" && len(entry) > 5:
			*name = append(*name, entry[5:]...)
		case tag == "CE" && len(entry) >= 28:
			le := binary.LittleEndian
			next, more = continuation{le.Uint32(entry[4:]), le.Uint32(entry[12:]), le.Uint32(entry[20:])}, true
		}
	}
	return next, more
}
