package fat

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"wellcar.dev/internal/format/fstree"
)

// FS is an opened file system. It is safe for concurrent use if its source is.
type FS struct {
	geometry
	r        io.ReaderAt
	label    string // in the boot sector
	volumeID uint32
}

// Open reads the boot sector.
func Open(r io.ReaderAt) (*FS, error) {
	b := make([]byte, 512)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("reading the boot sector of a FAT file system: %w", err)
	}
	g, err := decodeBoot(b)
	if err != nil {
		return nil, fmt.Errorf("reading the boot sector of a FAT file system: %w", err)
	}
	extended := b[36:]
	if g.bits == 32 {
		extended = b[64:]
	}
	f := &FS{geometry: g, r: r}
	if extended[2] == 0x29 {
		f.volumeID = le.Uint32(extended[3:])
		f.label = strings.TrimRight(string(extended[7:18]), " ")
	}
	return f, nil
}

func decodeBoot(b []byte) (geometry, error) {
	if b[510] != 0x55 || b[511] != 0xaa || b[0] != 0xeb && b[0] != 0xe9 {
		return geometry{}, errors.New("not a FAT file system")
	}
	g := geometry{
		sector: int64(le.Uint16(b[11:])), perCluster: int64(b[13]), reserved: int64(le.Uint16(b[14:])), fats: int64(b[16]),
		rootEntries: int64(le.Uint16(b[17:])), total: int64(le.Uint16(b[19:])), fatSize: int64(le.Uint16(b[22:])),
	}
	if g.total == 0 {
		g.total = int64(le.Uint32(b[32:]))
	}
	if g.fatSize == 0 {
		g.fatSize = int64(le.Uint32(b[36:]))
	}
	if g.sector < 512 || g.sector > 4096 || g.sector&(g.sector-1) != 0 || g.perCluster == 0 || g.perCluster&(g.perCluster-1) != 0 || g.reserved == 0 || g.fats == 0 || g.fatSize == 0 {
		return geometry{}, errors.New("not a FAT file system: impossible geometry")
	}
	g.dataStart = g.reserved + g.fats*g.fatSize + (g.rootEntries*entrySize+g.sector-1)/g.sector
	g.clusters = (g.total - g.dataStart) / g.perCluster
	switch {
	case g.total < g.dataStart || g.clusters < maxFAT12:
		return geometry{}, errors.New("FAT12 is not supported")
	case g.clusters < maxFAT16:
		g.bits = 16
	default:
		g.bits = 32
		g.rootCluster = le.Uint32(b[44:]) & endOfChain32
	}
	if (g.clusters+2)*int64(g.bits/8) > g.fatSize*g.sector || g.bits == 32 && !g.valid(g.rootCluster) {
		return geometry{}, errors.New("not a FAT file system: impossible geometry")
	}
	return g, nil
}

// VolumeID is the serial number.
func (f *FS) VolumeID() uint32 { return f.volumeID }

// Label is the volume's name: the root directory's if it has one, else the
// boot sector's unless that is "NO NAME".
func (f *FS) Label() string {
	entries, err := f.list(f.root())
	for _, e := range entries {
		if err == nil && e.attr&attrLabel != 0 {
			return strings.TrimRight(string(e.short[:]), " ")
		}
	}
	if f.label == "NO NAME" {
		return ""
	}
	return f.label
}

// ReadFile returns the content of a file. Names match in any case. A missing
// file is fs.ErrNotExist.
func (f *FS) ReadFile(name string) ([]byte, error) {
	e, err := f.find(fstree.Clean(name))
	if err == nil && e.attr&attrDir != 0 {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s from a FAT file system: %w", name, err)
	}
	blob, err := f.blob(e)
	if err != nil {
		return nil, fmt.Errorf("reading %s from a FAT file system: %w", name, err)
	}
	data, err := io.ReadAll(blob.Reader())
	if err == nil && int64(len(data)) < blob.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s from a FAT file system: %w", name, err)
	}
	return data, nil
}

// Names lists a directory. A missing one is fs.ErrNotExist.
func (f *FS) Names(dir string) (names []string, err error) {
	e, err := f.find(fstree.Clean(dir))
	if err == nil && e.attr&attrDir == 0 {
		err = errors.New("it is no directory")
	}
	var entries []entry
	if err == nil {
		entries, err = f.list(e)
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s of a FAT file system: %w", dir, err)
	}
	for _, e := range entries {
		if e.attr&attrLabel == 0 && e.name != "." && e.name != ".." {
			names = append(names, e.name)
		}
	}
	return names, nil
}

func (f *FS) find(name string) (entry, error) {
	at := f.root()
	if name == "." {
		return at, nil
	}
	for _, part := range strings.Split(name, "/") {
		if at.attr&attrDir == 0 {
			return entry{}, fs.ErrNotExist
		}
		entries, err := f.list(at)
		if err != nil {
			return entry{}, err
		}
		found := false
		for _, e := range entries {
			if e.attr&attrLabel == 0 && (strings.EqualFold(e.name, part) || strings.EqualFold(e.shortName(), part)) {
				at, found = e, true
				break
			}
		}
		if !found {
			return entry{}, fs.ErrNotExist
		}
	}
	return at, nil
}

// Tree returns all directories (0755) and files (0644), owned by root. The
// content stays in the source, which must outlive the tree; it is read once
// for the hashes.
func (f *FS) Tree() (*fstree.Tree, error) {
	t := fstree.New()
	if err := f.walk(t, f.root(), ".", map[uint32]bool{}); err != nil {
		return nil, fmt.Errorf("reading a FAT file system: %w", err)
	}
	return t, nil
}

func (f *FS) walk(t *fstree.Tree, dir entry, at string, seen map[uint32]bool) error {
	if seen[dir.cluster] {
		return fmt.Errorf("%s: the directory contains itself", at)
	}
	seen[dir.cluster] = true
	entries, err := f.list(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	for _, e := range entries {
		if e.attr&attrLabel != 0 {
			continue
		}
		n := fstree.Node{Path: path.Join(at, e.name), Kind: fstree.Dir, Mode: 0o755}
		if path.Dir(n.Path) != at || t.Get(n.Path) != nil {
			return fmt.Errorf("%s: bad or repeated name %q", at, e.name)
		}
		if e.attr&attrDir == 0 {
			n.Kind, n.Mode = fstree.File, 0o644
			if n.Blob, err = f.hashed(e); err != nil {
				return fmt.Errorf("%s: %w", n.Path, err)
			}
		}
		if err := t.Put(n); err != nil {
			return err
		}
		if n.Kind == fstree.Dir {
			if err := f.walk(t, e, n.Path, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *FS) hashed(e entry) (fstree.Blob, error) {
	blob, err := f.blob(e)
	if err != nil {
		return blob, err
	}
	h := sha256.New()
	n, err := io.Copy(h, blob.Reader())
	if err == nil && n < blob.Size {
		err = io.ErrUnexpectedEOF
	}
	h.Sum(blob.SHA256[:0])
	return blob, err
}
