// Package iso9660 reads files of an ISO 9660 file system (ECMA-119), such as
// a cloud's config drive. Names are those of Rock Ridge (IEEE P1282) if the
// volume has them, else those of Joliet, else the plain ones.
//
// Limits: no symbolic links, no files of several extents, no interleaving, no
// file or directory above 64 MiB. Plain names match whatever their case.
//
//	volume, err := iso9660.Open(device)
//	data, err := volume.ReadFile("/openstack/latest/user_data")
package iso9660

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

const (
	sector      = 2048
	descriptors = 16 * sector // where the volume descriptors begin
	mostOfThem  = 64
	largest     = 64 << 20 // bytes of a file or directory
)

// Kinds of volume descriptors (ECMA-119, 8.1).
const (
	primary       = 1
	supplementary = 2
	terminator    = 255
)

// FS is an open volume.
type FS struct {
	r      io.ReaderAt
	root   record
	joliet bool
	skip   int // bytes of each system use field before Rock Ridge's; -1: no Rock Ridge
}

// Open reads the descriptors of a volume.
func Open(r io.ReaderAt) (*FS, error) {
	var plain, joliet *record
	for i := range mostOfThem {
		d := make([]byte, sector)
		if _, err := r.ReadAt(d, descriptors+int64(i)*sector); err != nil {
			return nil, fmt.Errorf("reading the volume descriptors: %w", err)
		}
		if string(d[1:6]) != "CD001" {
			return nil, errors.New("reading the volume descriptors: it is no ISO 9660 file system")
		}
		if d[0] == terminator {
			break
		}
		root, err := parseRecord(d[156:190])
		if err != nil {
			continue // a boot record or a partition
		}
		switch {
		case d[0] == primary && plain == nil:
			plain = &root
		case d[0] == supplementary && d[88] == '%' && d[89] == '/':
			joliet = &root
		}
	}
	if plain == nil {
		return nil, errors.New("reading the volume descriptors: none is primary")
	}
	f := &FS{r: r, root: *plain, skip: -1}
	if err := f.findRockRidge(); err != nil {
		return nil, err
	}
	if f.skip < 0 && joliet != nil {
		f.root, f.joliet = *joliet, true
	}
	return f, nil
}

// findRockRidge looks at the first record of the root, which carries the
// entry SP if the volume has more than plain names (IEEE P1281, 5.3).
func (f *FS) findRockRidge() error {
	data, err := f.read(f.root)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return nil
	}
	first, err := parseRecord(data)
	if err != nil {
		return fmt.Errorf("reading the root directory: %w", err)
	}
	if u := first.use; len(u) >= 7 && string(u[:2]) == "SP" && u[4] == 0xbe && u[5] == 0xef {
		f.skip = int(u[6])
	}
	return nil
}

// ReadFile reads a file by its absolute path. One that does not exist is
// fs.ErrNotExist.
func (f *FS) ReadFile(name string) ([]byte, error) {
	at := f.root
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if !at.dir {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		next, err := f.find(at, part)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		at = next
	}
	if at.dir {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is a directory")}
	}
	data, err := f.read(at)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

func (f *FS) read(rec record) ([]byte, error) {
	if rec.size > largest {
		return nil, fmt.Errorf("it has more than %d MiB", largest>>20)
	}
	if rec.several {
		return nil, errors.New("it has several extents")
	}
	data, err := io.ReadAll(io.NewSectionReader(f.r, int64(rec.extent)*sector, int64(rec.size)))
	if err == nil && len(data) < int(rec.size) {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}

// find looks for a name in a directory. No record reaches over the end of a
// sector.
func (f *FS) find(dir record, name string) (record, error) {
	data, err := f.read(dir)
	if err != nil {
		return record{}, err
	}
	for at := 0; at < len(data); {
		if data[at] == 0 {
			at += sector - at%sector
			continue
		}
		rec, err := parseRecord(data[at:])
		if err != nil {
			return record{}, err
		}
		at += rec.length
		if rec.special() {
			continue
		}
		own, exact := f.name(rec)
		if own == name || !exact && strings.EqualFold(own, name) {
			return rec, nil
		}
	}
	return record{}, fs.ErrNotExist
}

// name is what a record is called; exact says that case matters.
func (f *FS) name(rec record) (name string, exact bool) {
	if f.joliet {
		units := make([]uint16, len(rec.id)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(rec.id[2*i:])
		}
		return version(string(utf16.Decode(units))), true
	}
	if f.skip >= 0 {
		if long := f.rockRidge(rec); long != "" {
			return long, true
		}
	}
	return version(string(rec.id)), false
}

// version cuts the version number and the dot of an empty extension.
func version(name string) string {
	name, _, _ = strings.Cut(name, ";")
	return strings.TrimSuffix(name, ".")
}
