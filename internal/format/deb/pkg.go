// Package deb reads the files of Debian binary packages.
//
// A package is an ar archive of three members: debian-binary ("2.0"),
// control.tar and data.tar, each of the two plain or compressed with gzip, xz
// or zstd (deb(5)). [Extract] turns a package into one file of contents and a
// list of entries, which is how a build keeps it. Control data is not read: an
// archive's index has what a resolver needs of it.
//
// Limits: format 2.0 only; member and entry sizes, counts and names are
// bounded (see the constants); an xz dictionary or zstd window is at most
// 128 MiB. Signatures are the caller's matter: check the file's hash first.
//
//	p, err := deb.Open(file, size)
//	entries, err := deb.Extract(p, contents, func(path string) bool { return true })
package deb

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"wellcar.dev/internal/format/deb/xz"
)

// What a package may hold at most.
const (
	maxWindow     = 128 << 20 // bytes of a decompressor's window
	maxMembers    = 16        // members of the ar archive
	maxHeaderName = 16        // bytes of a member name in an ar header
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arHeaderEnd  = "`\n"
)

// Package is an open .deb file. Its methods may be called any number of times
// and at the same time; each starts from the beginning.
type Package struct {
	r    io.ReaderAt
	data member
}

type member struct {
	name         string // as in the archive, without padding
	offset, size int64  // bytes
}

// Open reads the outer container of a .deb of size bytes. It keeps r, which
// must stay open while the package is used.
func Open(r io.ReaderAt, size int64) (*Package, error) {
	members, err := readMembers(r, size)
	if err != nil {
		return nil, fmt.Errorf("opening the package: %w", err)
	}
	p := &Package{r: r}
	if err := p.assign(members); err != nil {
		return nil, fmt.Errorf("opening the package: %w", err)
	}
	return p, nil
}

func readMembers(r io.ReaderAt, size int64) ([]member, error) {
	var magic [len(arMagic)]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil || string(magic[:]) != arMagic {
		return nil, fmt.Errorf("it is not an ar archive")
	}
	var members []member
	for at := int64(len(arMagic)); at < size; {
		if len(members) == maxMembers {
			return nil, fmt.Errorf("more than %d members", maxMembers)
		}
		m, err := readMember(r, at, size)
		if err != nil {
			return nil, fmt.Errorf("reading the member at byte %d: %w", at, err)
		}
		members = append(members, m)
		at = m.offset + m.size + m.size%2
	}
	return members, nil
}

func readMember(r io.ReaderAt, at, end int64) (member, error) {
	var h [arHeaderSize]byte
	if end-at < arHeaderSize {
		return member{}, io.ErrUnexpectedEOF
	}
	if _, err := r.ReadAt(h[:], at); err != nil {
		return member{}, err
	}
	if string(h[58:]) != arHeaderEnd {
		return member{}, fmt.Errorf("the header does not end as it must")
	}
	size, err := strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 {
		return member{}, fmt.Errorf("the size %q is not a number", h[48:58])
	}
	m := member{offset: at + arHeaderSize, size: size}
	m.name = strings.TrimSuffix(strings.TrimRight(string(h[:maxHeaderName]), " "), "/")
	if size > end-m.offset {
		return member{}, fmt.Errorf("%s has %d bytes, the file has %d left: %w", m.name, size, end-m.offset, io.ErrUnexpectedEOF)
	}
	return m, nil
}

// assign finds the three members in the order that deb(5) prescribes; members
// that start with "_" may come between them, anything may follow.
func (p *Package) assign(members []member) error {
	var kept []member
	for _, m := range members {
		if !strings.HasPrefix(m.name, "_") {
			kept = append(kept, m)
		}
	}
	if len(kept) < 3 {
		return fmt.Errorf("it has %d members, not debian-binary, control.tar and data.tar", len(kept))
	}
	version := make([]byte, min(kept[0].size, 64))
	if _, err := p.r.ReadAt(version, kept[0].offset); err != nil {
		return fmt.Errorf("reading the format version: %w", err)
	}
	if kept[0].name != "debian-binary" || !bytes.HasPrefix(version, []byte("2.")) {
		return fmt.Errorf("it is not of format 2.0")
	}
	if !strings.HasPrefix(kept[1].name, "control.tar") || !strings.HasPrefix(kept[2].name, "data.tar") {
		return fmt.Errorf("its members are %s and %s, not control.tar and data.tar", kept[1].name, kept[2].name)
	}
	p.data = kept[2]
	return nil
}

// Data streams the tar archive of the package's files. The caller closes the
// closer when done.
func (p *Package) Data() (*tar.Reader, io.Closer, error) {
	stream, err := p.open(p.data)
	if err != nil {
		return nil, nil, err
	}
	return tar.NewReader(stream), stream, nil
}

// stream is a decompressed member. Closing it frees the decompressor, not the
// package.
type stream struct {
	io.Reader
	close func()
}

// Close never fails.
func (s *stream) Close() error {
	if s.close != nil {
		s.close()
	}
	return nil
}

// Buffers around the decompressors, bytes; the tar reader asks for 512 at a
// time.
const (
	inputBuffer  = 128 << 10
	outputBuffer = 64 << 10
)

func (p *Package) open(m member) (*stream, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(p.r, m.offset, m.size), inputBuffer)
	s, err := decompress(in, m.name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", m.name, err)
	}
	s.Reader = bufio.NewReaderSize(s.Reader, outputBuffer)
	return s, nil
}

func decompress(in io.Reader, name string) (*stream, error) {
	switch ext := name[strings.Index(name, ".tar")+len(".tar"):]; ext {
	case "":
		return &stream{Reader: in}, nil
	case ".gz":
		z, err := gzip.NewReader(in)
		return &stream{Reader: z}, err
	case ".xz":
		z, err := xz.NewReader(in, maxWindow)
		return &stream{Reader: z}, err
	case ".zst":
		// One goroutine: the caller reads several packages at the same time.
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return &stream{Reader: z, close: z.Close}, nil
	default:
		return nil, fmt.Errorf("the compression %q is not known", ext)
	}
}
