package pe

import (
	"errors"
	"fmt"
	"io"
)

// maxHeaders is how far into a file the headers may reach, bytes.
const maxHeaders = 64 << 10

// Sections reads all sections of an image, in the order of its table, without
// the padding behind their content.
func Sections(r io.ReaderAt) ([]Section, error) {
	m, err := headers(r)
	if err != nil {
		return nil, err
	}
	var all []Section
	for _, h := range m.sections {
		data, err := content(r, h)
		if err != nil {
			return nil, err
		}
		all = append(all, Section{Name: h.name(), Data: data})
	}
	return all, nil
}

// Place is where a section's content is in the file, bytes.
type Place struct {
	Name         string
	Offset, Size int64
}

// Places lists where the sections are, in the order of the table.
func Places(r io.ReaderAt) ([]Place, error) {
	m, err := headers(r)
	if err != nil {
		return nil, err
	}
	var all []Place
	for _, h := range m.sections {
		all = append(all, Place{h.name(), int64(h.rawAt()), int64(h.size())})
	}
	return all, nil
}

// Find reads one section; nil without an error means that there is none.
func Find(r io.ReaderAt, name string) ([]byte, error) {
	m, err := headers(r)
	if err != nil {
		return nil, err
	}
	for _, h := range m.sections {
		if h.name() == name {
			return content(r, h)
		}
	}
	return nil, nil
}

// Signed says that an image carries a signature of somebody, whosever.
func Signed(r io.ReaderAt) (bool, error) {
	m, err := headers(r)
	if err != nil {
		return false, err
	}
	return m.signed(), nil
}

func headers(r io.ReaderAt) (image, error) {
	head := make([]byte, maxHeaders)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return image{}, fmt.Errorf("reading an EFI image: %w", err)
	}
	m, err := parse(head[:n])
	if err != nil {
		return image{}, fmt.Errorf("reading an EFI image: %w", err)
	}
	return m, nil
}

func content(r io.ReaderAt, h header) ([]byte, error) {
	data, err := io.ReadAll(io.NewSectionReader(r, int64(h.rawAt()), int64(h.size())))
	if err == nil && len(data) < int(h.size()) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading section %s of an EFI image: %w", h.name(), err)
	}
	return data, nil
}
