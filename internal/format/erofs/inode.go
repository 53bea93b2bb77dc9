package erofs

import (
	"encoding/binary"
	"fmt"

	"wellcar.dev/internal/format/fstree"
)

// Sizes of the two inode forms, bytes.
const (
	compactSize  = 32
	extendedSize = 64
)

// Data layouts of an inode.
const (
	flatPlain  = 0 // all content in blocks
	flatInline = 2 // whole blocks, then the rest right after the inode
)

// rawInode is an inode as stored, whichever its form.
type rawInode struct {
	extended bool
	layout   uint8
	mode     uint16 // type and permissions as in stat(2)
	links    uint32
	size     uint64
	uid, gid uint32
	start    uint32 // first data block, or the device number
	number   uint32 // for 32-bit stat(2)
	xattrs   int    // size of the xattr area after the inode, bytes
	mtime    uint64 // stored by the extended form only
}

func (i *rawInode) headSize() int {
	if i.extended {
		return extendedSize
	}
	return compactSize
}

// setForm chooses the compact form where everything fits.
func (i *rawInode) setForm() {
	i.extended = i.uid >= 1<<16 || i.gid >= 1<<16 || i.links >= 1<<16 || i.size >= 1<<32
}

// encode writes the inode to the start of b.
func (i *rawInode) encode(b []byte) {
	le := binary.LittleEndian
	format := uint16(i.layout) << 1
	le.PutUint16(b[2:], xattrCount(i.xattrs))
	le.PutUint16(b[4:], i.mode)
	le.PutUint32(b[16:], i.start)
	le.PutUint32(b[20:], i.number)
	if i.extended {
		format |= 1
		le.PutUint64(b[8:], i.size)
		le.PutUint32(b[24:], i.uid)
		le.PutUint32(b[28:], i.gid)
		le.PutUint64(b[32:], i.mtime)
		le.PutUint32(b[44:], i.links)
	} else {
		le.PutUint16(b[6:], uint16(i.links))
		le.PutUint32(b[8:], uint32(i.size))
		le.PutUint16(b[24:], uint16(i.uid))
		le.PutUint16(b[26:], uint16(i.gid))
	}
	le.PutUint16(b[0:], format)
}

// decodeInode reads an inode from the start of b: 64 bytes, or 32 if the
// image ends there.
func decodeInode(b []byte) (rawInode, error) {
	le := binary.LittleEndian
	if len(b) < compactSize {
		return rawInode{}, fmt.Errorf("inode of %d bytes is cut short", len(b))
	}
	format := le.Uint16(b)
	i := rawInode{
		extended: format&1 != 0,
		layout:   uint8(format >> 1 & 7),
		xattrs:   xattrSize(le.Uint16(b[2:])),
		mode:     le.Uint16(b[4:]),
		start:    le.Uint32(b[16:]),
		number:   le.Uint32(b[20:]),
	}
	switch {
	case format>>4 != 0 || i.layout != flatPlain && i.layout != flatInline:
		return i, fmt.Errorf("inode format %#x is not supported", format)
	case !i.extended:
		i.links = uint32(le.Uint16(b[6:]))
		i.size = uint64(le.Uint32(b[8:]))
		i.uid, i.gid = uint32(le.Uint16(b[24:])), uint32(le.Uint16(b[26:]))
	case len(b) < extendedSize:
		return i, fmt.Errorf("inode of %d bytes is cut short", len(b))
	default:
		i.size = le.Uint64(b[8:])
		i.uid, i.gid = le.Uint32(b[24:]), le.Uint32(b[28:])
		i.mtime = le.Uint64(b[32:])
		i.links = le.Uint32(b[44:])
	}
	return i, nil
}

// fileTypes has for each fstree.Kind the type bits of stat(2) and the type in
// directory entries.
var fileTypes = [...]struct {
	mode   uint16
	dirent uint8
}{
	fstree.Dir:         {0o040000, 2},
	fstree.File:        {0o100000, 1},
	fstree.Symlink:     {0o120000, 7},
	fstree.CharDevice:  {0o020000, 3},
	fstree.BlockDevice: {0o060000, 4},
	fstree.Fifo:        {0o010000, 5},
}

const typeMask = 0o170000

func kindOf(mode uint16) (fstree.Kind, error) {
	for kind, t := range fileTypes {
		if mode&typeMask == t.mode {
			return fstree.Kind(kind), nil
		}
	}
	return 0, fmt.Errorf("file type %#o is not supported", mode&typeMask)
}

// Device numbers are stored as the kernel encodes them for user space:
// 12 bits of major number and 20 bits of minor number.
func deviceNumber(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}

func splitDevice(dev uint32) (major, minor uint32) {
	return dev >> 8 & 0xfff, dev&0xff | dev>>12&^0xff
}
