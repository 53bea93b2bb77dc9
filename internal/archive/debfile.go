package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// A debFile is an open .deb: an ar archive with a compressed tar of files.
// See deb(5).
type debFile struct {
	members map[string]*io.SectionReader
}

// openDeb reads the table of an ar archive; r stays in use.
func openDeb(r io.ReaderAt, size int64) (*debFile, error) {
	const magic, header = "!<arch>\n", 60
	d := &debFile{members: map[string]*io.SectionReader{}}
	buf := make([]byte, header)
	if _, err := r.ReadAt(buf[:len(magic)], 0); err != nil || string(buf[:len(magic)]) != magic {
		return nil, fmt.Errorf("reading the start of the package: it is no ar archive (%q)", buf[:len(magic)])
	}
	for at := int64(len(magic)); at < size; {
		if _, err := r.ReadAt(buf, at); err != nil {
			return nil, fmt.Errorf("reading the ar header at %d: %w", at, err)
		}
		length, err := strconv.ParseInt(strings.TrimSpace(string(buf[48:58])), 10, 64)
		if err != nil || length < 0 || length > size-at-header {
			return nil, fmt.Errorf("reading the ar header at %d: %q is not a size within the package", at, buf[48:58])
		}
		name := strings.TrimSuffix(strings.TrimSpace(string(buf[:16])), "/")
		d.members[name] = io.NewSectionReader(r, at+header, length)
		at += header + length + length%2
	}
	return d, nil
}

// Data opens the tar of the package's files.
func (d *debFile) Data() (*tar.Reader, error) {
	for _, name := range []string{"data.tar.xz", "data.tar.zst", "data.tar.gz", "data.tar"} {
		member := d.members[name]
		if member == nil {
			continue
		}
		text, err := decompress(name, bufio.NewReaderSize(member, 1<<16))
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", name, err)
		}
		return tar.NewReader(text), nil
	}
	return nil, fmt.Errorf("looking for the package's files: it has no data.tar of a known compression")
}

func decompress(name string, in io.Reader) (io.Reader, error) {
	switch {
	case strings.HasSuffix(name, ".xz"):
		return xz.NewReader(in, xz.DefaultDictMax)
	case strings.HasSuffix(name, ".zst"):
		return zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
	case strings.HasSuffix(name, ".gz"):
		return gzip.NewReader(in)
	}
	return in, nil
}
