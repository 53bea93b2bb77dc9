package ext2

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// File is a file of the root directory.
type File struct {
	Name string
	Mode uint16 // permissions
	Data []byte
}

// Block is one block to be written.
type Block struct {
	Number uint32
	Data   []byte // BlockSize bytes
}

// Layout is all that the file system writes.
type Layout struct {
	Blocks []Block // by number
	Size   int64   // of the whole file system, bytes
}

// Displaced lists the blocks below a number that the file system takes.
func (l Layout) Displaced(below uint32) (out []uint32) {
	for _, b := range l.Blocks {
		if b.Number < below {
			out = append(out, b.Number)
		}
	}
	return out
}

// plan is a layout that grows.
type plan struct {
	files  []File
	uuid   [16]byte
	blocks map[uint32][]byte
	next   uint32 // the first block that nothing was put into yet
	inodes []inode
}

type inode struct {
	mode, links uint16
	size        uint32 // bytes
	sectors     uint32 // of 512 bytes, with those of pointers
	block       [15]uint32
}

// Plan lays files out behind an image of so many blocks.
func Plan(image uint32, files []File, uuid [16]byte) (Layout, error) {
	if len(files) > maxFiles {
		return Layout{}, fmt.Errorf("laying out an ext2 file system: %d files are more than %d", len(files), maxFiles)
	}
	p := &plan{files: files, uuid: uuid, blocks: map[uint32][]byte{}, next: image, inodes: make([]inode, firstFile-1+len(files))}
	p.put(p.take(), p.directory()) // block of the root directory
	root := p.next - 1
	p.inodes[rootInode-1] = inode{mode: 0o40755, links: 3, size: BlockSize, sectors: BlockSize / 512, block: [15]uint32{root}}
	p.put(p.take(), entries([]entry{{lostInode, ".", 2}, {rootInode, "..", 2}}))
	p.inodes[lostInode-1] = inode{mode: 0o40700, links: 2, size: BlockSize, sectors: BlockSize / 512, block: [15]uint32{p.next - 1}}
	for i, f := range files {
		p.inodes[firstFile-1+i] = p.file(f)
	}
	if g := p.groups(); g > maxGroups {
		return Layout{}, fmt.Errorf("laying out an ext2 file system: %d groups of blocks are more than %d", g, maxGroups)
	}
	p.metadata()
	l := Layout{Size: int64(p.total()) * BlockSize}
	for n, data := range p.blocks {
		l.Blocks = append(l.Blocks, Block{n, data})
	}
	slices.SortFunc(l.Blocks, func(a, b Block) int { return int(int64(a.Number) - int64(b.Number)) })
	return l, nil
}

func (p *plan) put(n uint32, data []byte) {
	full := make([]byte, BlockSize)
	copy(full, data)
	p.blocks[n] = full
}

// take returns the next block that belongs to no group's own.
func (p *plan) take() uint32 {
	if at := p.next % groupBlocks; at < groupRoom {
		p.next += groupRoom - at
	}
	p.next++
	return p.next - 1
}

// groups is how many there are; total how many blocks. A last group that could
// not hold its own blocks is made larger.
func (p *plan) groups() uint32 { return (p.total() + groupBlocks - 1) / groupBlocks }

func (p *plan) total() uint32 {
	if at := p.next % groupBlocks; at > 0 && at < groupRoom {
		return p.next + groupRoom - at
	}
	return p.next
}

// file puts the content of a file and the pointers to it.
func (p *plan) file(f File) inode {
	n := inode{mode: 0o100000 | f.Mode&0o7777, links: 1, size: uint32(len(f.Data))}
	var blocks []uint32
	for at := 0; at < len(f.Data); at += BlockSize {
		b := p.take()
		p.put(b, f.Data[at:min(at+BlockSize, len(f.Data))])
		blocks = append(blocks, b)
	}
	count := len(blocks)
	n.block, count = p.point(blocks, count)
	n.sectors = uint32(count) * (BlockSize / 512)
	return n
}

// point makes the pointers of an inode and counts the blocks of pointers.
func (p *plan) point(blocks []uint32, count int) (out [15]uint32, total int) {
	n := copy(out[:directBlocks], blocks)
	blocks = blocks[n:]
	if len(blocks) == 0 {
		return out, count
	}
	n = min(pointers, len(blocks))
	out[12] = p.pointerBlock(blocks[:n])
	blocks, count = blocks[n:], count+1
	if len(blocks) == 0 {
		return out, count
	}
	var second []uint32
	for len(blocks) > 0 {
		n = min(pointers, len(blocks))
		second = append(second, p.pointerBlock(blocks[:n]))
		blocks, count = blocks[n:], count+1
	}
	out[13] = p.pointerBlock(second)
	return out, count + 1
}

func (p *plan) pointerBlock(to []uint32) uint32 {
	var data []byte
	for _, b := range to {
		data = binary.LittleEndian.AppendUint32(data, b)
	}
	n := p.take()
	p.put(n, data)
	return n
}

// entry is one name of a directory.
type entry struct {
	inode uint32
	name  string
	kind  byte // 1 file, 2 directory
}

func (p *plan) directory() []byte {
	all := []entry{{rootInode, ".", 2}, {rootInode, "..", 2}, {lostInode, "lost+found", 2}}
	for i, f := range p.files {
		all = append(all, entry{uint32(firstFile + i), f.Name, 1})
	}
	return entries(all)
}

// entries writes a directory of one block; the last entry reaches its end.
func entries(all []entry) []byte {
	var out []byte
	for i, e := range all {
		size := (8 + len(e.name) + 3) &^ 3
		if i == len(all)-1 {
			size = BlockSize - len(out)
		}
		b := make([]byte, size)
		binary.LittleEndian.PutUint32(b, e.inode)
		binary.LittleEndian.PutUint16(b[4:], uint16(size))
		b[6], b[7] = byte(len(e.name)), e.kind
		copy(b[8:], e.name)
		out = append(out, b...)
	}
	return out
}
