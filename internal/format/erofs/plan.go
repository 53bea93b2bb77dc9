package erofs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"wellcar.dev/internal/format/fstree"
)

// Options are the choices of an image.
type Options struct {
	UUID      [16]byte
	Label     string                  // at most 16 bytes
	BuildTime uint64                  // modification time of every inode, Unix seconds
	Parallel  int                     // copying goroutines; 0 means one per CPU
	Progress  func(done, total int64) // bytes written; may be nil; one call at a time
}

// Stats describe an image.
type Stats struct {
	Blocks      uint64
	Inodes      uint64
	MetaBytes   int64 // of superblock, inodes, short files, xattrs and directories
	InlineFiles int   // files whose content lies beside their inode
	SharedBytes int64 // content not stored because another file has it
}

// maxInline is the largest file stored beside its inode. Such a file costs no
// block of its own and is read along with its inode. Larger ones stay whole
// in blocks, the last part too, so that a file is one run of bytes.
const maxInline = 2048

// maxTarget is the longest symlink target that Linux resolves, bytes.
const maxTarget = 4095

// inode is an inode being planned.
type inode struct {
	rawInode
	node    *fstree.Node // that gives the attributes; others may link to it
	nid     uint64
	parent  *inode // of a directory
	entries []entry
	starts  []int    // of a directory's blocks in entries
	xattr   []string // encoded entries
	area    []byte   // encoded xattr area
	content []byte   // of a symlink or an inline file
}

// tail is how many bytes follow inode and xattrs.
func (i *inode) tail() int {
	if i.layout != flatInline {
		return 0
	}
	return int(i.size % BlockSize)
}

type planner struct {
	opt    Options
	tree   *fstree.Tree
	inodes []*inode // in path order of their first names
	byNode map[*fstree.Node]*inode
	xattrs xattrTable
	stats  Stats
	super  Superblock
}

// collect makes an inode for each node that is not a hard link and enters
// all names into their directories.
func (p *planner) collect() error {
	for _, n := range p.tree.Nodes() {
		in, err := p.inodeOf(n)
		if err == nil {
			err = p.enter(n, in)
		}
		if err != nil {
			return fmt.Errorf("adding %s: %w", n.Path, err)
		}
	}
	return nil
}

// inodeOf returns the inode of a name. The first name of an inode makes it,
// so the order does not depend on which of the names is called the link.
func (p *planner) inodeOf(n *fstree.Node) (*inode, error) {
	for hops := 0; n.LinkTo != ""; hops++ {
		target := p.tree.Get(n.LinkTo)
		switch {
		case target == nil:
			return nil, fmt.Errorf("hard link to %s, which does not exist", n.LinkTo)
		case target.Kind == fstree.Dir:
			return nil, fmt.Errorf("hard link to directory %s", n.LinkTo)
		case hops > p.tree.Len():
			return nil, fmt.Errorf("hard link to %s goes in a circle", n.LinkTo)
		}
		n = target
	}
	if in := p.byNode[n]; in != nil {
		return in, nil
	}
	in := &inode{node: n}
	if err := in.setAttributes(); err != nil {
		return nil, err
	}
	var err error
	if in.xattr, err = p.xattrs.encodeXattrs(n.Xattrs); err != nil {
		return nil, err
	}
	p.inodes = append(p.inodes, in)
	in.number = uint32(len(p.inodes))
	p.byNode[n] = in
	return in, nil
}

func (i *inode) setAttributes() error {
	n := i.node
	if int(n.Kind) >= len(fileTypes) {
		return fmt.Errorf("unknown kind %d of node", n.Kind)
	}
	if n.Mode > 0o7777 {
		return fmt.Errorf("mode %#o has more than permission bits", n.Mode)
	}
	i.mode = fileTypes[n.Kind].mode | uint16(n.Mode)
	i.uid, i.gid = n.UID, n.GID
	switch n.Kind {
	case fstree.File:
		if n.Blob.Size < 0 || n.Blob.Size > 0 && n.Blob.Source == nil {
			return fmt.Errorf("content of %d bytes has no source", n.Blob.Size)
		}
		i.size = uint64(n.Blob.Size)
	case fstree.Symlink:
		if n.Target == "" || len(n.Target) > maxTarget || strings.Contains(n.Target, "\x00") {
			return fmt.Errorf("symlink target %.300q is not 1 to %d bytes without NUL", n.Target, maxTarget)
		}
		i.size, i.content = uint64(len(n.Target)), []byte(n.Target)
	case fstree.CharDevice, fstree.BlockDevice:
		if n.Major >= 1<<12 || n.Minor >= 1<<20 {
			return fmt.Errorf("device number %d:%d is out of range", n.Major, n.Minor)
		}
		i.start = deviceNumber(n.Major, n.Minor)
	}
	return nil
}

// enter puts a name into its directory and counts the links.
func (p *planner) enter(n *fstree.Node, in *inode) error {
	if n.Path == "." {
		if in.node.Kind != fstree.Dir {
			return fmt.Errorf("the root is a %s", in.node.Kind)
		}
		in.parent = in
	} else {
		name := path.Base(n.Path)
		if err := checkName(name); err != nil {
			return err
		}
		parent := p.byNode[p.tree.Get(path.Dir(n.Path))]
		if parent == nil || parent.node.Kind != fstree.Dir {
			return fmt.Errorf("%s is not a directory", path.Dir(n.Path))
		}
		parent.entries = append(parent.entries, entry{name: name, in: in})
		if in.node.Kind == fstree.Dir {
			in.parent = parent
			parent.links++
		}
	}
	in.links++
	if in.node.Kind == fstree.Dir {
		in.links++ // its own "."
		in.entries = append(in.entries, entry{name: ".", in: in}, entry{name: "..", in: in.parent})
	}
	return nil
}

// measure settles the size, form and data layout of every inode, which needs
// all names and xattrs to be known.
func (p *planner) measure() error {
	for _, in := range p.inodes {
		if in.node.Kind == fstree.Dir {
			slices.SortFunc(in.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
			var last int
			in.starts, last = splitDir(in.entries)
			in.size = uint64((len(in.starts)-1)*BlockSize + last)
		}
		var err error
		if in.area, err = p.xattrs.area(in.xattr); err != nil {
			return fmt.Errorf("adding %s: %w", in.node.Path, err)
		}
		in.rawInode.xattrs = len(in.area)
		in.setForm()
		in.mtime = p.opt.BuildTime
		tail := int(in.size % BlockSize)
		wanted := in.node.Kind != fstree.File || in.size <= maxInline
		if wanted && tail > 0 && in.headSize()+len(in.area)+tail <= BlockSize {
			in.layout = flatInline
		}
	}
	return nil
}
