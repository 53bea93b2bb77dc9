package image

import (
	"context"
	"io"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/modules"
	"wellcar.dev/internal/image/unpacked"
)

// Formats are the readers and writers of byte formats that a build uses.
// They are functions so that a test can put simple ones in their place.
// None of them keeps its arguments.
type Formats struct {
	// Extract reads a .deb.
	Extract unpacked.ExtractFunc
	// Usr writes a file system with the given id, followed by its verity
	// superblock and tree, from byte base of f on.
	Usr func(f Disk, base int64, tree *fstree.Tree, o UsrOptions) (Usr, error)
	// FAT writes a file system of size bytes from byte 0 of w on, which is all zeros.
	FAT func(w io.WriterAt, size int64, label string, serial uint32, tree *fstree.Tree) error
	// GPT writes both copies of a partition table.
	GPT func(w io.WriterAt, t Table) error
	// UKI joins the parts of a unified kernel image.
	UKI func(p UKIParts) ([]byte, error)
	// AddOn makes a file that adds words to the command line of such an image.
	AddOn func(stub []byte, words string) ([]byte, error)
	// Cpio writes an archive that the kernel unpacks as initrd.
	Cpio func(w io.Writer, tree *fstree.Tree) error
	// LoaderCache makes ld.so.cache for the folders, which are paths of the tree.
	LoaderCache func(tree *fstree.Tree, dirs []string) ([]byte, error)
	// Modules reads all kernel modules and makes the index files by name.
	Modules func(files []ModuleFile, order, builtin, builtinInfo []byte) ([]modules.Info, map[string][]byte, error)
}

// Disk is the file of the disk image.
type Disk interface {
	io.ReaderAt
	io.WriterAt
}

// UsrOptions are the choices of a /usr image.
type UsrOptions struct {
	UUID      [16]byte // of the file system
	BuildTime uint64   // of every file, Unix seconds
	Salt      [32]byte // of the verity tree
	TreeUUID  func(rootHash [32]byte) [16]byte
	Parallel  int
}

// Usr describes a written /usr image. Sizes are bytes.
type Usr struct {
	RootHash [32]byte
	DataSize int64 // of the file system: where the verity superblock is
	TreeSize int64 // of superblock and hash tree
	MetaSize int64 // of the file system's metadata, in DataSize
	Shared   int64 // content not stored because another file has the same
}

// ModuleFile is one kernel module.
type ModuleFile struct {
	Path string // below usr/lib/modules/VERSION
	Blob fstree.Blob
}

// UKIParts are the contents of a unified kernel image.
type UKIParts struct {
	Stub, OSRelease, Initrd, Kernel []byte
	Cmdline, Uname                  string
}

// Table is a partition table in sectors of layout.SectorSize.
type Table struct {
	DiskGUID string
	Sectors  uint64 // of the disk
	Entries  []TableEntry
}

// TableEntry is one partition.
type TableEntry struct {
	Number      int
	Name        string
	Type, GUID  string
	First, Last uint64 // sectors, inclusive
	Attributes  uint64
}

// Tools runs a program of the locked tool set with extra environment
// variables ("NAME=value") and returns what it wrote, for messages.
type Tools func(ctx context.Context, env []string, name string, args ...string) (output []byte, err error)
