package erofs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"wellcar.dev/internal/format/fstree"
)

// Limits of what the reader follows, so that a damaged image cannot make it
// run forever.
const (
	maxNames = 1 << 20
	maxPath  = 4096
)

// Reader reads an image. It may be used by several goroutines if its source
// may.
type Reader struct {
	Superblock
	src io.ReaderAt
}

// Open reads and checks the superblock of an image that starts at offset 0
// of src. The reader keeps src; the caller closes it.
func Open(src io.ReaderAt) (*Reader, error) {
	block := make([]byte, BlockSize-SuperblockOffset)
	if err := readFull(src, block, SuperblockOffset); err != nil {
		return nil, fmt.Errorf("EROFS superblock: %w", err)
	}
	s, err := parseSuperblock(block)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if le.Uint32(block[8:])&hasChecksum != 0 && le.Uint32(block[4:]) != checksum(block) {
		return nil, errors.New("EROFS superblock: the first block does not match its checksum")
	}
	return &Reader{s, src}, nil
}

// read returns n bytes of the image at an offset.
func (r *Reader) read(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > r.Size() || n > r.Size()-off {
		return nil, fmt.Errorf("bytes %d to %d are outside the image of %d", off, off+n, r.Size())
	}
	b := make([]byte, n)
	return b, readFull(r.src, b, off)
}

// readInode is an inode with where its parts are.
type readInode struct {
	rawInode
	at int64 // of the xattr area, bytes
}

func (r *Reader) inode(nid uint64) (readInode, error) {
	if nid >= uint64(r.Size()/slotSize) {
		return readInode{}, fmt.Errorf("inode %d is outside the image", nid)
	}
	at := int64(r.metaBlock)*BlockSize + int64(nid)*slotSize
	b, err := r.read(at, min(extendedSize, max(compactSize, r.Size()-at)))
	if err != nil {
		return readInode{}, fmt.Errorf("inode %d: %w", nid, err)
	}
	raw, err := decodeInode(b)
	if err != nil {
		return readInode{}, fmt.Errorf("inode %d: %w", nid, err)
	}
	return readInode{raw, at + int64(raw.headSize())}, nil
}

// content says where an inode's bytes are. The hash is not set.
func (r *Reader) content(in readInode) (fstree.Blob, error) {
	size := int64(in.size)
	if size < 0 || size > r.Size() {
		return fstree.Blob{}, fmt.Errorf("content of %d bytes is larger than the image", in.size)
	}
	tail := int64(0)
	if in.layout == flatInline {
		tail = size % BlockSize
	}
	blocks, tailAt := int64(in.start)*BlockSize, in.at+int64(in.xattrs)
	if whole := size - tail; whole > 0 && blocks+whole > r.Size() {
		return fstree.Blob{}, fmt.Errorf("content at %d of %d bytes is outside the image", blocks, whole)
	}
	if tailAt+tail > r.Size() || tail > 0 && tailAt/BlockSize != (tailAt+tail-1)/BlockSize {
		return fstree.Blob{}, fmt.Errorf("inline content at %d of %d bytes leaves its block", tailAt, tail)
	}
	switch {
	case tail == 0:
		return fstree.Blob{Source: r.src, Offset: blocks, Size: size}, nil
	case tail == size:
		return fstree.Blob{Source: r.src, Offset: tailAt, Size: size}, nil
	}
	return fstree.Blob{Source: joined{r.src, blocks, size - tail, tailAt, tail}, Size: size}, nil
}

// joined is two ranges of the image read as one.
type joined struct {
	src                  io.ReaderAt
	firstAt, firstSize   int64
	secondAt, secondSize int64
}

// ReadAt reads from both ranges.
func (j joined) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= j.firstSize+j.secondSize {
		return 0, io.EOF
	}
	if off < j.firstSize {
		part := p[:min(int64(len(p)), j.firstSize-off)]
		if n, err = j.src.ReadAt(part, j.firstAt+off); n < len(part) {
			return n, err
		}
	}
	at := max(0, off-j.firstSize)
	part := p[n:]
	part = part[:min(int64(len(part)), j.secondSize-at)]
	if m, err := j.src.ReadAt(part, j.secondAt+at); m < len(part) {
		return n + m, err
	}
	if n += len(part); n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// xattrs reads an inode's extended attributes by their full names.
func (r *Reader) xattrs(in readInode) (map[string][]byte, error) {
	if in.xattrs == 0 {
		return nil, nil
	}
	area, err := r.read(in.at, int64(in.xattrs))
	if err != nil {
		return nil, fmt.Errorf("xattrs: %w", err)
	}
	shared := area[xattrHeaderSize:]
	if int(area[4])*4 > len(shared) {
		return nil, fmt.Errorf("%d shared xattrs do not fit in an area of %d bytes", area[4], len(area))
	}
	shared, inline := shared[:int(area[4])*4], shared[int(area[4])*4:]
	attrs := map[string][]byte{}
	for len(inline) > 0 {
		var name string
		var value []byte
		if name, value, inline, err = decodeXattr(inline); err != nil {
			return nil, err
		}
		attrs[name] = value
	}
	for ; len(shared) > 0; shared = shared[4:] {
		name, value, err := r.sharedXattr(binary.LittleEndian.Uint32(shared))
		if err != nil {
			return nil, err
		}
		attrs[name] = value
	}
	return attrs, nil
}

func (r *Reader) sharedXattr(id uint32) (name string, value []byte, err error) {
	at := int64(r.sharedBlock)*BlockSize + int64(id)*4
	longest := int64(xattrEntrySize + 1<<8 + 1<<16)
	b, err := r.read(at, max(0, min(longest, r.Size()-at)))
	if err == nil {
		name, value, _, err = decodeXattr(b)
	}
	if err != nil {
		return "", nil, fmt.Errorf("shared xattr %d: %w", id, err)
	}
	return name, value, nil
}
