package ldcache

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"wellcar.dev/internal/format/fstree"
)

// hwcapsDir holds, below a library folder, one folder per processor level.
const hwcapsDir = "glibc-hwcaps"

// Scan finds the libraries in directories of a tree, with the glibc-hwcaps
// folders below them, as ldconfig does: files and links named lib*.so* or
// ld-*.so* that are shared objects, under the SONAME that they declare.
// Directories are as in /etc/ld.so.conf, in their order of preference; the
// result keeps that order. What is not a library for a known machine is
// passed over.
func Scan(t *fstree.Tree, dirs []string) ([]Entry, error) {
	s := scanner{tree: t, byDir: map[string][]*fstree.Node{}, sonames: map[*fstree.Node]library{}}
	for _, n := range t.Nodes() {
		if isLibraryName(path.Base(n.Path)) && (n.Kind == fstree.File || n.Kind == fstree.Symlink) {
			s.byDir[path.Dir(n.Path)] = append(s.byDir[path.Dir(n.Path)], n)
		}
	}
	seen := map[string]bool{}
	for _, name := range dirs {
		dir := t.Resolve(name)
		if dir == nil || dir.Kind != fstree.Dir || seen[dir.Path] {
			continue
		}
		seen[dir.Path] = true
		if err := s.scan(dir.Path, ""); err != nil {
			return nil, err
		}
		if t.Get(path.Join(dir.Path, hwcapsDir)) == nil {
			continue
		}
		for _, level := range t.Children(path.Join(dir.Path, hwcapsDir)) {
			if err := s.scan(level.Path, path.Base(level.Path)); err != nil {
				return nil, err
			}
		}
	}
	return s.entries, nil
}

type scanner struct {
	tree    *fstree.Tree
	byDir   map[string][]*fstree.Node // possible libraries, sorted by name
	sonames map[*fstree.Node]library
	entries []Entry
}

type library struct {
	soname string // "" if it declares none
	flags  uint32 // 0: not a library
}

func isLibraryName(name string) bool {
	return (strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "ld-")) && strings.Contains(name, ".so")
}

func (s *scanner) scan(dir, hwcap string) error {
	seen := map[string]bool{}
	for _, n := range s.byDir[dir] {
		file := s.tree.Resolve(n.Path)
		if file == nil || file.Kind != fstree.File {
			continue
		}
		lib, err := s.read(file)
		if err != nil {
			return fmt.Errorf("reading the library %s: %w", file.Path, err)
		}
		if lib.flags == 0 {
			continue
		}
		e := Entry{Soname: lib.soname, Flags: lib.flags, Hwcap: hwcap}
		name := path.Base(n.Path)
		// A link to a file that is called as the library names itself is one
		// more name: libx.so -> libx.so.1.
		if e.Soname == "" || n.Kind == fstree.Symlink && path.Base(file.Path) == e.Soname {
			e.Soname = name
		}
		if s.tree.Resolve(path.Join(dir, e.Soname)) != nil {
			name = e.Soname
		}
		e.Path = "/" + path.Join(dir, name)
		if !seen[e.Soname] {
			seen[e.Soname] = true
			s.entries = append(s.entries, e)
		}
	}
	return nil
}

func (s *scanner) read(file *fstree.Node) (library, error) {
	if lib, ok := s.sonames[file]; ok {
		return lib, nil
	}
	lib, err := readLibrary(io.NewSectionReader(file.Blob.Source, file.Blob.Offset, file.Blob.Size))
	if err == nil {
		s.sonames[file] = lib
	}
	return lib, err
}

func readLibrary(r io.ReaderAt) (library, error) {
	f, err := elf.NewFile(r)
	var format *elf.FormatError
	if errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return library{}, nil // a linker script, say
	}
	if err != nil {
		return library{}, err
	}
	lib := library{}
	switch {
	case f.Type != elf.ET_DYN || f.Class != elf.ELFCLASS64:
	case f.Machine == elf.EM_X86_64:
		lib.flags = FlagsAMD64
	case f.Machine == elf.EM_AARCH64:
		lib.flags = FlagsAArch64
	}
	if lib.flags == 0 {
		return library{}, nil
	}
	names, err := f.DynString(elf.DT_SONAME)
	if err != nil {
		return library{}, fmt.Errorf("its dynamic section: %w", err)
	}
	if len(names) > 0 {
		lib.soname = names[0]
	}
	return lib, nil
}
