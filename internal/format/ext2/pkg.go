// Package ext2 lays a small ext2 file system around other content: the blocks
// of an image that is there already stay where they are, but for a few that
// the file system needs for itself, and the files come behind the image.
//
// It is there for programs that mount a partition as ext2 right after they
// wrote it, and run a file in it: the file's program then puts the displaced
// blocks back.
//
//	l, err := ext2.Plan(blocks, files, uuid)
//	for _, b := range l.Blocks { ... } // b.Data to block b.Number
//	l.Displaced(blocks)                // which of them belong to the image
//
// The file system has blocks of 4096 bytes, revision 1 with file types and
// sparse superblocks, whose copies are not written. It is to be mounted
// read-only: the image's blocks count as free. Equal inputs give equal bytes.
//
// Source: https://docs.kernel.org/filesystems/ext4/ and the kernel's
// fs/ext2/ext2.h. Limits: one directory, at most 21 files of 4 GiB together,
// one block of group descriptors (16 GiB).
package ext2

// BlockSize is the size of a block, bytes.
const BlockSize = 4096

const (
	groupBlocks  = 8 * BlockSize // as many as a bitmap of one block has bits
	groupInodes  = 32            // as many as fit into one block
	inodeSize    = 128
	rootInode    = 2
	lostInode    = 11 // the first that is not reserved
	firstFile    = lostInode + 1
	maxFiles     = groupInodes - lostInode
	maxGroups    = BlockSize / descriptorSize
	groupRoom    = 5 // blocks that a group needs for itself at most
	pointers     = BlockSize / 4
	directBlocks = 12
)
