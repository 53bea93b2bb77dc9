// Package cpio writes and reads archives of the "newc" kind, which the Linux
// kernel unpacks as its first root (Linux documentation,
// "driver-api/early-userspace/buffer-format"; cpio(5)).
//
// Equal trees give equal archives: inode numbers count up in the order of the
// tree, times are zero, owners and modes are the tree's.
//
// Limits: files below 4 GiB; no extended attributes (newc cannot hold them).
package cpio

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"wellcar.dev/internal/format/fstree"
)

const (
	magic       = "070701"
	headerSize  = 110
	trailer     = "TRAILER!!!"
	blockSize   = 512 // an archive is padded to it
	maxFileSize = 1<<32 - 1
	maxName     = 4096 // PATH_MAX, with the final NUL
)

// The file types in a mode.
const (
	typeMask    = 0o170000
	typeFifo    = 0o010000
	typeChar    = 0o020000
	typeDir     = 0o040000
	typeBlock   = 0o060000
	typeFile    = 0o100000
	typeSymlink = 0o120000
)

var types = map[fstree.Kind]uint32{
	fstree.Dir: typeDir, fstree.File: typeFile, fstree.Symlink: typeSymlink,
	fstree.CharDevice: typeChar, fstree.BlockDevice: typeBlock, fstree.Fifo: typeFifo,
}

// Write writes the tree as one archive, padded to 512 bytes, so that another
// archive may follow. The content of a file with several names comes with its
// last name, as other writers do it.
func Write(w io.Writer, t *fstree.Tree) error { return WritePadded(w, t, blockSize) }

// WritePadded is Write with the archive padded to a multiple of align bytes,
// itself a multiple of 4.
func WritePadded(w io.Writer, t *fstree.Tree, align int) error {
	if align < 4 || align%4 != 0 {
		return fmt.Errorf("writing a cpio archive: alignment %d is not a multiple of 4", align)
	}
	out := &writer{w: bufio.NewWriterSize(w, 64<<10)}
	nodes := t.Nodes()
	links := countNames(nodes)
	for _, n := range nodes {
		if err := out.node(n, links[firstName(n)]); err != nil {
			return fmt.Errorf("writing a cpio archive: %s: %w", n.Path, err)
		}
	}
	out.header(header{links: 1}, trailer)
	out.pad(int64(align))
	if out.err == nil {
		out.err = out.w.Flush()
	}
	if out.err != nil {
		return fmt.Errorf("writing a cpio archive: %w", out.err)
	}
	return nil
}

// names are all names of one inode.
type names struct {
	inode uint32
	left  int // not written yet
	count int
}

// firstName is the path that stands for all names of a file.
func firstName(n *fstree.Node) string {
	if n.LinkTo != "" {
		return fstree.Clean(n.LinkTo)
	}
	return n.Path
}

func countNames(nodes []*fstree.Node) map[string]*names {
	all := map[string]*names{}
	for _, n := range nodes {
		key := firstName(n)
		if all[key] == nil {
			all[key] = &names{inode: uint32(len(all) + 1)}
		}
		all[key].count++
		all[key].left++
	}
	return all
}

// header is what the 13 fields after the magic say; times are always zero.
type header struct {
	inode, mode, uid, gid, links, size, major, minor uint32
}

type writer struct {
	w   *bufio.Writer
	at  int64
	err error // the first one; later writes do nothing
}

func (w *writer) node(n *fstree.Node, all *names) error {
	kind, known := types[n.Kind]
	switch {
	case !known:
		return errors.New("unknown file type")
	case len(n.Xattrs) > 0:
		return errors.New("cpio cannot hold extended attributes")
	case n.Kind == fstree.File && n.Blob.Size > maxFileSize:
		return fmt.Errorf("%d bytes are too many", n.Blob.Size)
	case len(n.Path) >= maxName:
		return errors.New("the path is too long")
	}
	h := header{inode: all.inode, mode: kind | n.Mode&0o7777, uid: n.UID, gid: n.GID, links: uint32(all.count), major: n.Major, minor: n.Minor}
	all.left--
	switch {
	case n.Kind == fstree.Symlink:
		h.size = uint32(len(n.Target))
		w.header(h, n.Path)
		w.text(n.Target)
		w.pad(4)
	case n.Kind == fstree.File && all.left == 0:
		h.size = uint32(n.Blob.Size)
		w.header(h, n.Path)
		return w.content(n.Blob)
	case n.Kind == fstree.Dir:
		h.links = 2
		w.header(h, n.Path)
	default:
		w.header(h, n.Path)
	}
	return w.err
}

func (w *writer) header(h header, name string) {
	w.text(fmt.Sprintf("%s%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", magic,
		h.inode, h.mode, h.uid, h.gid, h.links, 0, h.size, 0, 0, h.major, h.minor, len(name)+1, 0, name))
	w.pad(4)
}

func (w *writer) text(s string) {
	if w.err == nil {
		_, w.err = w.w.WriteString(s)
		w.at += int64(len(s))
	}
}

func (w *writer) content(b fstree.Blob) error {
	if w.err != nil || b.Size == 0 {
		return w.err
	}
	n, err := io.Copy(w.w, b.Reader())
	w.at += n
	if err == nil && n < b.Size {
		err = io.ErrUnexpectedEOF
	}
	w.err = err
	w.pad(4)
	return w.err
}

func (w *writer) pad(align int64) {
	for w.at%align != 0 && w.err == nil {
		w.err = w.w.WriteByte(0)
		w.at++
	}
}
