package erofs

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path"

	"wellcar.dev/internal/format/fstree"
)

// Tree reads all names of the image. File contents are blobs in the image's
// source, with their hashes, so each distinct one is read once, by one
// goroutine per CPU.
func (r *Reader) Tree() (*fstree.Tree, error) {
	w := walker{r: r, tree: fstree.New(), paths: map[uint64]string{}, seen: map[string]bool{}, files: map[contentKey][]string{}}
	if err := w.add(".", uint64(r.rootNID)); err != nil {
		return nil, fmt.Errorf("reading EROFS tree: %w", err)
	}
	if err := w.hash(); err != nil {
		return nil, fmt.Errorf("reading EROFS tree: %w", err)
	}
	return w.tree, nil
}

type walker struct {
	r     *Reader
	tree  *fstree.Tree
	paths map[uint64]string // of inodes by their first names
	seen  map[string]bool   // all names

	contents []contentKey // in the order found
	files    map[contentKey][]string
}

// add enters the name of an inode and all below it.
func (w *walker) add(name string, nid uint64) error {
	if w.seen[name] {
		return fmt.Errorf("%s is there twice", name)
	}
	if len(w.seen) >= maxNames || len(name) > maxPath {
		return fmt.Errorf("%.100s: more than %d names or paths over %d bytes", name, maxNames, maxPath)
	}
	w.seen[name] = true
	in, err := w.r.inode(nid)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n, err := w.node(name, in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	first, linked := w.paths[nid]
	switch {
	case (name == "." || linked) && (n.Kind == fstree.Dir) == linked:
		return fmt.Errorf("%s is a %s, first seen as %q", name, n.Kind, first)
	case linked:
		n.LinkTo = first
	default:
		w.paths[nid] = name
	}
	if err := w.tree.Put(n); err != nil {
		return err
	}
	switch n.Kind {
	case fstree.File:
		w.remember(name, in)
	case fstree.Dir:
		return w.children(name, in)
	}
	return nil
}

func (w *walker) node(name string, in readInode) (n fstree.Node, err error) {
	n = fstree.Node{Path: name, Mode: uint32(in.mode &^ typeMask), UID: in.uid, GID: in.gid}
	if n.Kind, err = kindOf(in.mode); err != nil {
		return n, err
	}
	if n.Xattrs, err = w.r.xattrs(in); err != nil {
		return n, err
	}
	switch n.Kind {
	case fstree.File:
		n.Blob, err = w.r.content(in)
	case fstree.Symlink:
		n.Target, err = w.target(in)
	case fstree.CharDevice, fstree.BlockDevice:
		n.Major, n.Minor = splitDevice(in.start)
	}
	return n, err
}

func (w *walker) target(in readInode) (string, error) {
	blob, err := w.r.content(in)
	if err != nil {
		return "", err
	}
	if blob.Size > maxTarget {
		return "", fmt.Errorf("symlink target of %d bytes is longer than %d", blob.Size, maxTarget)
	}
	b, err := blob.Bytes()
	return string(b), err
}

func (w *walker) children(dir string, in readInode) error {
	blob, err := w.r.content(in)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	for at := int64(0); at < blob.Size; at += BlockSize {
		part := blob
		part.Offset, part.Size = blob.Offset+at, min(BlockSize, blob.Size-at)
		b, err := part.Bytes()
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		entries, err := decodeDir(b)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		for _, e := range entries {
			if e.name == "." || e.name == ".." {
				continue
			}
			if err := w.add(path.Join(dir, e.name), e.nid); err != nil {
				return err
			}
		}
	}
	return nil
}

// contentKey tells contents apart by where they are.
type contentKey struct {
	start uint32
	size  uint64
	at    int64 // of an inode with inline content
}

// remember notes a file whose content is to be hashed.
func (w *walker) remember(name string, in readInode) {
	key := contentKey{start: in.start, size: in.size}
	if in.layout == flatInline {
		key.at = in.at
	}
	if w.files[key] == nil {
		w.contents = append(w.contents, key)
	}
	w.files[key] = append(w.files[key], name)
}

// hash reads each distinct content once and sets the hashes of its files.
func (w *walker) hash() error {
	return inParallel(int64(len(w.contents)), 0, func(i int64) error {
		names := w.files[w.contents[i]]
		blob := w.tree.Get(names[0]).Blob
		h := sha256.New()
		n, err := io.Copy(h, blob.Reader())
		if err == nil && n != blob.Size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("%s: %w", names[0], err)
		}
		for _, name := range names {
			h.Sum(w.tree.Get(name).Blob.SHA256[:0])
		}
		return nil
	})
}
