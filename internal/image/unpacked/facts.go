package unpacked

import (
	"bytes"
	"debug/elf"
	"io"
	"strings"

	"wellcar.dev/internal/format/fstree"
)

// Facts are what the checks ask of a file's content. They are found once,
// when a package is unpacked.
type Facts struct {
	// Interpreter is the program after "#!" with its first argument, or the
	// dynamic loader of an ELF program; "" for neither.
	Interpreter string
	ELF         bool // a program or shared library, not an object file
	Soname      string
	Needed      []string // names of shared libraries
	Runpath     []string // folders of DT_RUNPATH or DT_RPATH
	Class32     bool     // 32-bit ELF
}

func (f Facts) empty() bool { return !f.ELF && f.Interpreter == "" }

// Examine reads the head of a file, and of ELF files the dynamic section.
// A file that only looks like ELF has no facts.
func Examine(b fstree.Blob) Facts {
	head := make([]byte, min(b.Size, 256))
	if n, err := b.Source.ReadAt(head, b.Offset); n < len(head) && err != nil {
		return Facts{}
	}
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		line, _, _ := bytes.Cut(head[2:], []byte("\n"))
		words := strings.Fields(string(line))
		if len(words) > 2 {
			words = words[:2]
		}
		return Facts{Interpreter: strings.Join(words, " ")}
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return examineELF(io.NewSectionReader(b.Source, b.Offset, b.Size))
	}
	return Facts{}
}

func examineELF(r io.ReaderAt) Facts {
	f, err := elf.NewFile(r)
	if err != nil || f.Type != elf.ET_DYN && f.Type != elf.ET_EXEC {
		return Facts{}
	}
	facts := Facts{ELF: true, Class32: f.Class == elf.ELFCLASS32}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			if data, err := io.ReadAll(p.Open()); err == nil {
				facts.Interpreter = strings.TrimRight(string(data), "\x00")
			}
		}
	}
	facts.Needed, _ = f.ImportedLibraries() // none in a static program
	if names, err := f.DynString(elf.DT_SONAME); err == nil && len(names) > 0 {
		facts.Soname = names[0]
	}
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		if paths, err := f.DynString(tag); err == nil && len(paths) > 0 && facts.Runpath == nil {
			facts.Runpath = strings.Split(strings.Join(paths, ":"), ":")
		}
	}
	return facts
}
