package cpio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"wellcar.dev/internal/format/fstree"
)

// Read reads all archives of a stream, one behind the other with zeros
// between them, into one tree; later entries replace earlier ones, as in the
// kernel. Contents are held in memory. Anything after an archive that is
// neither zeros nor an archive (a compressed one, say) is an error.
func Read(r io.Reader) (*fstree.Tree, error) {
	in := &reader{r: bufio.NewReader(r), tree: fstree.New(), inodes: map[string]inode{}, contents: map[inode]fstree.Blob{}}
	for {
		found, err := in.skipZeros()
		if err == nil && found {
			err = in.archive()
		}
		if err != nil {
			return nil, fmt.Errorf("reading a cpio archive at byte %d: %w", in.at, err)
		}
		if !found {
			in.link()
			return in.tree, nil
		}
		in.archives++
	}
}

type reader struct {
	r        *bufio.Reader
	at       int64
	tree     *fstree.Tree
	archives int                   // read so far
	inodes   map[string]inode      // of files with several names, by path
	contents map[inode]fstree.Blob // whichever name it came with
}

// inode tells which names are the same file.
type inode struct {
	archive             int
	major, minor, inode uint32
}

// skipZeros tells whether anything follows.
func (r *reader) skipZeros() (bool, error) {
	for {
		c, err := r.r.ReadByte()
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if c != 0 {
			return true, r.r.UnreadByte()
		}
		r.at++
	}
}

// archive reads entries until the trailer.
func (r *reader) archive() error {
	for {
		h, name, err := r.header()
		if err != nil {
			return err
		}
		if name == trailer {
			return nil
		}
		data, err := r.take(int64(h.size))
		if err == nil {
			err = r.put(h, name, data)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
}

// take reads n bytes and the padding behind them.
func (r *reader) take(n int64) ([]byte, error) {
	var buf bytes.Buffer
	got, err := io.CopyN(&buf, r.r, n)
	r.at += got
	for err == nil && r.at%4 != 0 {
		_, err = r.r.ReadByte()
		r.at++
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return buf.Bytes(), err
}

func (r *reader) header() (h fileHeader, name string, err error) {
	var raw [headerSize]byte
	n, err := io.ReadFull(r.r, raw[:])
	r.at += int64(n)
	if err != nil {
		return h, "", fmt.Errorf("header: %w", io.ErrUnexpectedEOF)
	}
	if string(raw[:6]) != magic && string(raw[:6]) != "070702" {
		return h, "", errors.New("not a newc header")
	}
	var field [13]uint32
	for i := range field {
		v, err := strconv.ParseUint(string(raw[6+8*i:][:8]), 16, 32)
		if err != nil {
			return h, "", fmt.Errorf("header: %w", err)
		}
		field[i] = uint32(v)
	}
	if field[11] == 0 || field[11] > maxName {
		return h, "", fmt.Errorf("a name of %d bytes", field[11])
	}
	data, err := r.take(int64(field[11]))
	name, _, _ = strings.Cut(string(data), "\x00")
	h.header = header{field[0], field[1], field[2], field[3], field[4], field[6], field[9], field[10]}
	h.device = [2]uint32{field[7], field[8]}
	return h, name, err
}

// fileHeader is a header with the device that its inode number belongs to.
type fileHeader struct {
	header
	device [2]uint32
}

func (r *reader) put(h fileHeader, name string, data []byte) error {
	n := fstree.Node{Path: fstree.Clean(name), Mode: h.mode & 0o7777, UID: h.uid, GID: h.gid}
	found := false
	for kind, bits := range types {
		if h.mode&typeMask == bits {
			n.Kind, found = kind, true
		}
	}
	old := r.tree.Get(n.Path)
	switch {
	case !found:
		return fmt.Errorf("unknown file type %o", h.mode)
	case n.Path == "." && n.Kind != fstree.Dir:
		return errors.New("the root is not a directory")
	case old != nil && old.Kind == fstree.Dir && n.Kind != fstree.Dir:
		r.tree.Remove(n.Path)
	}
	delete(r.inodes, n.Path)
	switch n.Kind {
	case fstree.Symlink:
		n.Target = string(data)
	case fstree.CharDevice, fstree.BlockDevice:
		n.Major, n.Minor = h.major, h.minor
	case fstree.File:
		n.Blob = fstree.BytesBlob(data)
		if h.links > 1 {
			key := inode{r.archives, h.device[0], h.device[1], h.inode}
			r.inodes[n.Path] = key
			if len(data) > 0 {
				r.contents[key] = n.Blob
			}
		}
	}
	return r.tree.Put(n)
}

// link joins the names of each file under the first of them, in tree order.
func (r *reader) link() {
	first := map[inode]string{}
	for _, n := range r.tree.Nodes() {
		key, several := r.inodes[n.Path]
		if !several || n.Kind != fstree.File {
			continue
		}
		if blob, ok := r.contents[key]; ok {
			n.Blob = blob
		}
		if first[key] == "" {
			first[key] = n.Path
		} else {
			n.LinkTo = first[key]
		}
	}
}
