package deb

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"wellcar.dev/internal/format/fstree"
)

// The index of an extracted package is indexMagic, the number of entries, the
// entries, and the SHA-256 of all before it. Numbers are unsigned varints;
// strings are their length and their bytes. An entry is kind, mode, uid, gid,
// path, target, linkTo, the number of xattrs, each with name and value (sorted
// by name), and for files offset, size and the 32 bytes of SHA-256.
const indexMagic = "wellcar deb index 1\n"

// WriteIndex writes entries so that ReadIndex gives them back. Equal entries
// give equal bytes.
func WriteIndex(w io.Writer, entries []Entry) error {
	out := append([]byte(indexMagic), 0)[:len(indexMagic)]
	out = binary.AppendUvarint(out, uint64(len(entries)))
	for i := range entries {
		out = appendEntry(out, &entries[i])
	}
	sum := sha256.Sum256(out)
	if _, err := w.Write(append(out, sum[:]...)); err != nil {
		return fmt.Errorf("writing a package index: %w", err)
	}
	return nil
}

func appendEntry(out []byte, e *Entry) []byte {
	for _, n := range []uint64{uint64(e.Kind), uint64(e.Mode), uint64(e.UID), uint64(e.GID)} {
		out = binary.AppendUvarint(out, n)
	}
	for _, s := range []string{e.Path, e.Target, e.LinkTo} {
		out = appendString(out, s)
	}
	names := make([]string, 0, len(e.Xattrs))
	for name := range e.Xattrs {
		names = append(names, name)
	}
	slices.Sort(names)
	out = binary.AppendUvarint(out, uint64(len(names)))
	for _, name := range names {
		out = appendString(out, name)
		out = appendString(out, string(e.Xattrs[name]))
	}
	if e.Kind == fstree.File {
		out = binary.AppendUvarint(out, uint64(e.Offset))
		out = binary.AppendUvarint(out, uint64(e.Size))
		out = append(out, e.SHA256[:]...)
	}
	return out
}

func appendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// ReadIndex reads what WriteIndex wrote and checks that it is whole.
func ReadIndex(r io.Reader) ([]Entry, error) {
	data, err := io.ReadAll(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("reading a package index: %w", err)
	}
	entries, err := parseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("reading a package index: %w", err)
	}
	return entries, nil
}

func parseIndex(data []byte) ([]Entry, error) {
	end := len(data) - sha256.Size
	if end < len(indexMagic) || !bytes.HasPrefix(data, []byte(indexMagic)) {
		return nil, fmt.Errorf("it does not start with %q", indexMagic)
	}
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return nil, fmt.Errorf("its checksum does not match")
	}
	d := indexReader{left: data[len(indexMagic):end]}
	count := d.number()
	if count > uint64(len(d.left)) {
		return nil, fmt.Errorf("%d entries do not fit into %d bytes", count, len(d.left))
	}
	entries := make([]Entry, count)
	for i := range entries {
		d.entry(&entries[i])
	}
	if d.err == nil && len(d.left) > 0 {
		d.err = fmt.Errorf("%d bytes are left over", len(d.left))
	}
	return entries, d.err
}

// indexReader takes values from left; after an error it returns zeros.
type indexReader struct {
	left []byte
	err  error
}

func (d *indexReader) number() uint64 {
	n, used := binary.Uvarint(d.left)
	if used <= 0 {
		d.fail()
		return 0
	}
	d.left = d.left[used:]
	return n
}

func (d *indexReader) bytes(n uint64) []byte {
	if n > uint64(len(d.left)) {
		d.fail()
		return nil
	}
	b := d.left[:n]
	d.left = d.left[n:]
	return b
}

func (d *indexReader) fail() {
	d.left = nil
	if d.err == nil {
		d.err = io.ErrUnexpectedEOF
	}
}

func (d *indexReader) string() string { return string(d.bytes(d.number())) }

func (d *indexReader) entry(e *Entry) {
	e.Kind, e.Mode = fstree.Kind(d.number()), uint32(d.number())
	e.UID, e.GID = uint32(d.number()), uint32(d.number())
	e.Path, e.Target, e.LinkTo = d.string(), d.string(), d.string()
	for n := d.number(); n > 0 && d.err == nil; n-- {
		if e.Xattrs == nil {
			e.Xattrs = map[string][]byte{}
		}
		name := d.string()
		e.Xattrs[name] = bytes.Clone(d.bytes(d.number()))
	}
	switch e.Kind {
	case fstree.File:
		e.Offset, e.Size = int64(d.number()), int64(d.number())
		copy(e.SHA256[:], d.bytes(sha256.Size))
	case fstree.Dir, fstree.Symlink:
	default:
		d.err = fmt.Errorf("%s has the unknown kind %d", e.Path, e.Kind)
	}
}
