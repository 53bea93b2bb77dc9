package ext2

import "encoding/binary"

// descriptorSize is the size of the description of a group, bytes.
const descriptorSize = 32

// group is where a group has its own blocks.
type group struct {
	first, blocks      uint32
	super              bool // there is a superblock with descriptors, or room for a copy
	blockMap, inodeMap uint32
	table              uint32
}

func (p *plan) group(i uint32) group {
	g := group{first: i * groupBlocks, super: i == 0 || sparse(i)}
	g.blocks = min(groupBlocks, p.total()-g.first)
	at := g.first
	if g.super {
		at += 2
	}
	g.blockMap, g.inodeMap, g.table = at, at+1, at+2
	return g
}

// sparse says whether a group has a copy of the superblock: 1 and the powers
// of 3, 5 and 7 have.
func sparse(i uint32) bool {
	for _, base := range []uint32{3, 5, 7} {
		n := i
		for n%base == 0 && n > 0 {
			n /= base
		}
		if n == 1 {
			return true
		}
	}
	return false
}

// metadata puts the superblock and all that describes the groups.
func (p *plan) metadata() {
	le := binary.LittleEndian
	free, freeInodes := uint32(0), uint32(0)
	descriptors := make([]byte, BlockSize)
	for i := range p.groups() {
		g := p.group(i)
		used := p.bitmap(g)
		inodes := uint32(0)
		d := descriptors[i*descriptorSize:]
		if i == 0 {
			inodes = uint32(len(p.inodes))
			le.PutUint16(d[16:], 2) // directories
		}
		le.PutUint32(d, g.blockMap)
		le.PutUint32(d[4:], g.inodeMap)
		le.PutUint32(d[8:], g.table)
		le.PutUint16(d[12:], uint16(g.blocks-used))
		le.PutUint16(d[14:], uint16(groupInodes-inodes))
		free, freeInodes = free+g.blocks-used, freeInodes+groupInodes-inodes
		p.inodeMap(g, inodes)
		p.table(g, i)
	}
	p.put(1, descriptors)
	p.put(0, append(make([]byte, 1024), p.superblock(free, freeInodes)...))
}

// bitmap puts the map of a group's blocks and counts those in use.
func (p *plan) bitmap(g group) (used uint32) {
	data := make([]byte, BlockSize)
	mark := func(n uint32) {
		if at := n - g.first; data[at/8]&(1<<(at%8)) == 0 {
			data[at/8] |= 1 << (at % 8)
			used++
		}
	}
	for n := g.first; n <= g.table; n++ {
		mark(n)
	}
	for n := range p.blocks {
		if n >= g.first && n-g.first < g.blocks {
			mark(n)
		}
	}
	for at := g.blocks; at < groupBlocks; at++ { // behind the end
		data[at/8] |= 1 << (at % 8)
	}
	p.put(g.blockMap, data)
	return used
}

func (p *plan) inodeMap(g group, used uint32) {
	data := make([]byte, BlockSize)
	for at := range uint32(BlockSize * 8) {
		if at < used || at >= groupInodes {
			data[at/8] |= 1 << (at % 8)
		}
	}
	p.put(g.inodeMap, data)
}

func (p *plan) table(g group, i uint32) {
	data := make([]byte, BlockSize)
	if i == 0 {
		for n, in := range p.inodes {
			copy(data[n*inodeSize:], in.encode())
		}
	}
	p.put(g.table, data)
}

func (n inode) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, inodeSize)
	le.PutUint16(b, n.mode)
	le.PutUint32(b[4:], n.size)
	le.PutUint16(b[26:], n.links)
	le.PutUint32(b[28:], n.sectors)
	for i, block := range n.block {
		le.PutUint32(b[40+4*i:], block)
	}
	return b
}

// superblock is the description of the whole.
func (p *plan) superblock(freeBlocks, freeInodes uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, 1024)
	for at, v := range map[int]uint32{
		0: p.groups() * groupInodes, 4: p.total(), 12: freeBlocks, 16: freeInodes,
		24: 2, 28: 2, // size of blocks and fragments: 1024 << 2
		32: groupBlocks, 36: groupBlocks, 40: groupInodes,
		76:  1,         // revision
		84:  lostInode, // the first inode that is not reserved
		96:  0x2,       // file types in directories
		100: 0x1,       // sparse superblocks
	} {
		le.PutUint32(b[at:], v)
	}
	for at, v := range map[int]uint16{54: 0xffff /* mounts without a check */, 56: 0xef53, 58: 1 /* clean */, 60: 1 /* go on after errors */, 88: inodeSize} {
		le.PutUint16(b[at:], v)
	}
	copy(b[104:], p.uuid[:])
	return b
}
