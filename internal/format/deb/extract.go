package deb

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"

	"wellcar.dev/internal/format/deb/xz"
	"wellcar.dev/internal/format/fstree"
)

// What a package may unpack to at most.
const (
	maxEntries  = 1 << 20
	maxFile     = 8 << 30 // bytes of one file
	maxPath     = 4096    // bytes
	maxNameByte = 255     // bytes of one component
)

// Entry is one file, directory or symlink of a package.
type Entry struct {
	Path   string      // in the merged layout, as fstree.Clean gives it
	Kind   fstree.Kind // Dir, File or Symlink
	Mode   uint32      // permission bits: 0..07777
	UID    uint32
	GID    uint32
	Target string // of a symlink
	LinkTo string // path of the entry that this file is another name of
	Offset int64  // of a file: where its bytes are in the data, bytes
	Size   int64  // of a file, bytes
	SHA256 [32]byte
	Xattrs map[string][]byte // nil if none
}

// Node is the entry as a node of a tree, with src holding the data that
// Extract wrote.
func (e Entry) Node(src io.ReaderAt, origin string) fstree.Node {
	n := fstree.Node{Path: e.Path, Kind: e.Kind, Mode: e.Mode, UID: e.UID, GID: e.GID,
		Target: e.Target, LinkTo: e.LinkTo, Xattrs: e.Xattrs, Origin: origin}
	if e.Kind == fstree.File {
		n.Blob = fstree.Blob{Source: src, Offset: e.Offset, Size: e.Size, SHA256: e.SHA256}
	}
	return n
}

// Extract writes the contents of a package's files to data, one after another
// in the order of the package, and lists the entries in that order.
//
// Paths are of the merged layout: bin/x becomes usr/bin/x, and so on for sbin,
// lib and lib64. A kernel module x.ko.xz is decompressed and called x.ko; its
// signature, which is at its end, stays. keep gets each final path and says
// whether to take it; nil takes all.
func Extract(p *Package, data io.Writer, keep func(path string) bool) ([]Entry, error) {
	x := newExtractor(data, keep)
	if err := x.pass(p, x.entry); err != nil {
		return nil, err
	}
	if len(x.orphans) > 0 {
		if err := x.pass(p, x.adopt); err != nil {
			return nil, err
		}
	}
	if len(x.orphans) > 0 {
		return nil, fmt.Errorf("unpacking the package: %s is a hard link to a file that is not there", x.entries[x.firstOrphan()].Path)
	}
	return x.entries, nil
}

type extractor struct {
	data    io.Writer
	keep    func(path string) bool
	offset  int64
	entries []Entry
	byPath  map[string]int   // index in entries
	orphans map[string][]int // by target: hard links whose target was not kept
	digest  hash.Hash
	both    io.Writer // data and digest
	buf     []byte
	module  *xz.Reader // reused for all modules
}

func newExtractor(data io.Writer, keep func(string) bool) *extractor {
	if keep == nil {
		keep = func(string) bool { return true }
	}
	x := &extractor{data: data, keep: keep, byPath: map[string]int{}, orphans: map[string][]int{},
		digest: sha256.New(), buf: make([]byte, 256<<10)}
	x.both = io.MultiWriter(x.digest, data)
	return x
}

// pass hands every entry of the package to do, and reads the stream to its
// end so that its checksum is verified.
func (x *extractor) pass(p *Package, do func(name string, h *tar.Header, r io.Reader) error) error {
	stream, err := p.open(p.data)
	if err != nil {
		return err
	}
	defer stream.Close()
	tr := tar.NewReader(stream)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err == nil && n == maxEntries {
			err = fmt.Errorf("it has more than %d entries", maxEntries)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", p.data.name, err)
		}
		name, err := cleanPath(h.Name)
		if err == nil {
			err = do(name, h, tr)
		}
		if err != nil {
			return fmt.Errorf("unpacking %q from %s: %w", h.Name, p.data.name, err)
		}
	}
	if _, err := io.CopyBuffer(io.Discard, stream.Reader, x.buf); err != nil {
		return fmt.Errorf("reading the end of %s: %w", p.data.name, err)
	}
	return nil
}

func (x *extractor) entry(name string, h *tar.Header, r io.Reader) error {
	e := Entry{Path: mergeUsr(name, h.Typeflag), Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid), Xattrs: xattrs(h)}
	packed := isPackedModule(e.Path, h)
	if packed {
		e.Path = strings.TrimSuffix(e.Path, ".xz")
	}
	if !x.keep(e.Path) {
		return nil
	}
	var err error
	switch h.Typeflag {
	case tar.TypeDir:
		e.Kind = fstree.Dir
	case tar.TypeSymlink:
		e.Kind, e.Target, e.Mode = fstree.Symlink, h.Linkname, 0o777
	case tar.TypeReg:
		e.Kind = fstree.File
		err = x.store(&e, h, r, packed)
	case tar.TypeLink:
		return x.hardLink(e, h)
	default:
		return fmt.Errorf("entries of type %q are not taken", h.Typeflag)
	}
	if err != nil {
		return err
	}
	return x.add(e)
}

// add appends an entry. A directory may come twice (before and after the
// merge of paths): the first one counts.
func (x *extractor) add(e Entry) error {
	if i, twice := x.byPath[e.Path]; twice {
		if e.Kind == fstree.Dir && x.entries[i].Kind == fstree.Dir {
			return nil
		}
		return fmt.Errorf("the package has %s twice", e.Path)
	}
	x.byPath[e.Path] = len(x.entries)
	x.entries = append(x.entries, e)
	return nil
}

func (x *extractor) store(e *Entry, h *tar.Header, r io.Reader, packed bool) error {
	if h.Size > maxFile {
		return fmt.Errorf("its %d bytes are over the limit of %d", h.Size, int64(maxFile))
	}
	if packed {
		var err error
		if r, err = x.unpackModule(r); err != nil {
			return fmt.Errorf("decompressing the module: %w", err)
		}
	}
	x.digest.Reset()
	n, err := io.CopyBuffer(x.both, io.LimitReader(r, maxFile+1), x.buf)
	if err == nil && n > maxFile {
		err = fmt.Errorf("it unpacks to more than %d bytes", int64(maxFile))
	}
	if err != nil {
		return err
	}
	e.Offset, e.Size = x.offset, n
	x.digest.Sum(e.SHA256[:0])
	x.offset += n
	return nil
}

func (x *extractor) unpackModule(r io.Reader) (io.Reader, error) {
	if x.module != nil {
		return x.module, x.module.Reset(r)
	}
	var err error
	x.module, err = xz.NewReader(r, maxWindow)
	return x.module, err
}

// hardLink adds another name of a file that came before. If that file was not
// kept, its bytes are gone; the second pass gets them.
func (x *extractor) hardLink(e Entry, h *tar.Header) error {
	target, err := cleanPath(h.Linkname)
	if err != nil {
		return fmt.Errorf("its link target %q: %w", h.Linkname, err)
	}
	target = mergeUsr(target, tar.TypeReg)
	e.Kind, e.LinkTo = fstree.File, target
	if i, ok := x.byPath[target]; ok {
		t := x.entries[i]
		if t.Kind != fstree.File {
			return fmt.Errorf("its link target %s is a %s", target, t.Kind)
		}
		if t.LinkTo == "" {
			t.LinkTo = target
		}
		t.Path = e.Path // all else belongs to the file, not to the name
		return x.add(t)
	}
	x.orphans[target] = append(x.orphans[target], len(x.entries))
	return x.add(e)
}

// adopt stores the content of a target that was not kept under the first of
// the names that link to it.
func (x *extractor) adopt(name string, h *tar.Header, r io.Reader) error {
	name = mergeUsr(name, h.Typeflag)
	links := x.orphans[name]
	if len(links) == 0 || h.Typeflag != tar.TypeReg {
		return nil
	}
	delete(x.orphans, name)
	first := &x.entries[links[0]]
	first.LinkTo = ""
	if err := x.store(first, h, r, false); err != nil {
		return err
	}
	for _, i := range links[1:] {
		e := &x.entries[i]
		e.LinkTo, e.Offset, e.Size, e.SHA256 = first.Path, first.Offset, first.Size, first.SHA256
	}
	return nil
}

func (x *extractor) firstOrphan() int {
	first := len(x.entries)
	for _, links := range x.orphans {
		first = min(first, links[0])
	}
	return first
}

// isPackedModule reports whether an entry is a compressed kernel module.
func isPackedModule(name string, h *tar.Header) bool {
	return h.Typeflag == tar.TypeReg && strings.HasSuffix(name, ".ko.xz")
}

const xattrPrefix = "SCHILY.xattr."

func xattrs(h *tar.Header) map[string][]byte {
	var all map[string][]byte
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, xattrPrefix); ok {
			if all == nil {
				all = map[string][]byte{}
			}
			all[name] = []byte(v)
		}
	}
	return all
}

// cleanPath checks a name of a tar archive and makes it relative to the root.
func cleanPath(name string) (string, error) {
	if len(name) > maxPath {
		return "", fmt.Errorf("the path is longer than %d bytes", maxPath)
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", fmt.Errorf("the path climbs with %q", part)
		case len(part) > maxNameByte:
			return "", fmt.Errorf("the path has a name longer than %d bytes", maxNameByte)
		case strings.ContainsAny(part, "\x00\n"):
			return "", fmt.Errorf("the path has a control character")
		}
	}
	return fstree.Clean(name), nil
}

// mergeUsr moves what a package puts in one of the old top directories below
// usr. Such a directory itself moves too; a symlink in its place stays. The
// names are those of layout.UsrLinks, which is not for formats to import.
func mergeUsr(name string, typeflag byte) string {
	top, _, below := strings.Cut(name, "/")
	switch top {
	case "bin", "sbin", "lib", "lib64":
		if below || typeflag == tar.TypeDir {
			return path.Join("usr", name)
		}
	}
	return name
}
