package erofs

import (
	"errors"
	"fmt"
	"math"

	"wellcar.dev/internal/format/fstree"
)

// Layout is a planned image: everything but the file content is settled.
type Layout struct {
	Meta    []byte   // the start of the image, whole blocks
	Extents []Extent // file content after it, in the order of the image
	Stats   Stats
	opt     Options
}

// Extent is where a content goes. The rest of its last block is zero.
type Extent struct {
	Offset int64 // bytes, a multiple of BlockSize
	Path   string
	Blob   fstree.Blob // not empty
}

func (e Extent) end() int64 { return e.Offset + e.Blob.Size }

// Size is the size of the image: bytes, a multiple of BlockSize.
func (l *Layout) Size() int64 { return int64(l.Stats.Blocks) * BlockSize }

// Plan lays out an image. It reads the content of short files only. The
// blobs of the tree must stay readable until the image is written.
func Plan(t *fstree.Tree, opt Options) (*Layout, error) {
	if len(opt.Label) > maxLabel {
		return nil, fmt.Errorf("planning EROFS image: label %q is longer than %d bytes", opt.Label, maxLabel)
	}
	p := &planner{opt: opt, tree: t, byNode: map[*fstree.Node]*inode{}}
	p.xattrs = xattrTable{uses: map[string]int{}, ids: map[string]uint32{}}
	l, err := p.plan()
	if err != nil {
		return nil, fmt.Errorf("planning EROFS image: %w", err)
	}
	return l, nil
}

func (p *planner) plan() (*Layout, error) {
	for _, step := range []func() error{p.collect, p.measure, p.readShort} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	cursor := p.placeInodes()
	cursor, err := p.placeBlocks(cursor)
	if err != nil {
		return nil, err
	}
	metaSize := cursor
	extents, cursor, err := p.placeFiles(cursor)
	if err != nil {
		return nil, err
	}
	p.stats.Inodes = uint64(len(p.inodes))
	p.stats.Blocks = uint64(cursor / BlockSize)
	p.stats.MetaBytes = metaSize
	return &Layout{Meta: p.encode(metaSize), Extents: extents, Stats: p.stats, opt: p.opt}, nil
}

// readShort reads the files that are stored beside their inodes.
func (p *planner) readShort() error {
	var short []*inode
	for _, in := range p.inodes {
		if in.node.Kind == fstree.File && in.layout == flatInline {
			short = append(short, in)
		}
	}
	p.stats.InlineFiles = len(short)
	return inParallel(int64(len(short)), p.opt.Parallel, func(i int64) error {
		in := short[i]
		content, err := in.node.Blob.Bytes()
		if err != nil {
			return fmt.Errorf("%s: %w", in.node.Path, err)
		}
		in.content = content
		return nil
	})
}

// placeInodes gives out inode numbers in path order and returns the end of
// the inodes, bytes. An inode with what follows it stays in one block if it
// fits in one, and then starts a new block rather than look for a gap: later
// inodes soon keep their places again when one was added before them.
func (p *planner) placeInodes() int64 {
	cursor := int64(firstNID * slotSize)
	for _, in := range p.inodes {
		need := int64(in.headSize() + len(in.area) + in.tail())
		if room := BlockSize - cursor%BlockSize; need > room && (need <= BlockSize || room < extendedSize) {
			cursor += room
		}
		in.nid = uint64(cursor / slotSize)
		cursor = roundUp(cursor+need, slotSize)
	}
	return cursor
}

// placeBlocks places what lies in blocks but is not file content: shared
// xattrs, large directories and long symlinks.
func (p *planner) placeBlocks(cursor int64) (int64, error) {
	cursor = roundUp(cursor, BlockSize)
	if len(p.xattrs.shared) > 0 {
		p.super.sharedBlock = uint32(cursor / BlockSize)
		cursor = roundUp(cursor+int64(len(p.xattrs.shared)), BlockSize)
	}
	for _, in := range p.inodes {
		if kind := in.node.Kind; kind != fstree.Dir && kind != fstree.Symlink {
			continue
		}
		if blocks := roundUp(int64(in.size)-int64(in.tail()), BlockSize); blocks > 0 {
			in.start = uint32(cursor / BlockSize)
			cursor += blocks
		}
	}
	if cursor > math.MaxInt32 {
		return 0, errors.New("metadata is larger than 2 GiB")
	}
	return cursor, nil
}

// placeFiles gives each distinct content its run of blocks. Contents whose
// hash is all zeros are not known to be equal to any other.
func (p *planner) placeFiles(cursor int64) ([]Extent, int64, error) {
	type key struct {
		sum  [32]byte
		size int64
	}
	var extents []Extent
	known := map[key]uint32{}
	for _, in := range p.inodes {
		blob := in.node.Blob
		if in.node.Kind != fstree.File || in.layout == flatInline || blob.Size == 0 {
			continue
		}
		k := key{blob.SHA256, blob.Size}
		if start, ok := known[k]; ok && k.sum != [32]byte{} {
			in.start = start
			p.stats.SharedBytes += blob.Size
			continue
		}
		in.start = uint32(cursor / BlockSize)
		known[k] = in.start
		extents = append(extents, Extent{cursor, in.node.Path, blob})
		if blob.Size > math.MaxUint32*BlockSize-cursor {
			return nil, 0, fmt.Errorf("adding %s: the image is larger than 2^32 blocks", in.node.Path)
		}
		cursor = roundUp(cursor+blob.Size, BlockSize)
	}
	return extents, cursor, nil
}

// encode writes all metadata.
func (p *planner) encode(size int64) []byte {
	meta := make([]byte, size)
	copy(meta[int64(p.super.sharedBlock)*BlockSize:], p.xattrs.shared)
	for _, in := range p.inodes {
		in.encodeAt(meta)
	}
	p.super.UUID, p.super.Label, p.super.BuildTime = p.opt.UUID, p.opt.Label, p.opt.BuildTime
	p.super.Inodes, p.super.Blocks = p.stats.Inodes, uint32(p.stats.Blocks)
	p.super.rootNID = uint16(p.inodes[0].nid)
	p.super.encode(meta)
	return meta
}

// encodeAt writes the inode, its xattrs and its content, except of files in
// blocks, to their places in meta.
func (i *inode) encodeAt(meta []byte) {
	b := meta[i.nid*slotSize:]
	i.rawInode.encode(b)
	b = b[i.headSize():]
	beside := b[copy(b, i.area):]
	switch {
	case i.node.Kind == fstree.Dir:
		i.encodeEntries(meta[int64(i.start)*BlockSize:], beside)
	case i.layout == flatInline:
		copy(beside, i.content)
	case i.node.Kind == fstree.Symlink:
		copy(meta[int64(i.start)*BlockSize:], i.content)
	}
}

// encodeEntries writes a directory to its blocks and, if that is where its
// last part lies, beside its inode.
func (i *inode) encodeEntries(blocks, beside []byte) {
	for n, first := range i.starts {
		last := len(i.entries)
		if n+1 < len(i.starts) {
			last = i.starts[n+1]
		}
		to := beside
		if n+1 < len(i.starts) || i.layout != flatInline {
			to = blocks[n*BlockSize:]
		}
		encodeDir(to, i.entries[first:last])
	}
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
