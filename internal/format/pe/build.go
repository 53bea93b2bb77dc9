package pe

import (
	"errors"
	"fmt"
)

// Section flags (PE Format, "Section Flags").
const (
	containsCode = 0x00000020
	containsData = 0x00000040
	memoryRead   = 0x40000000
)

// Build returns the stub with the sections appended, each behind the ones
// before it in file and memory, in the given order. A section that the stub
// has already (.sbat) is replaced in place if it fits there. If a .linux
// section does not say that it can run with non-executable data, neither does
// the result, as firmware wants the two to agree.
func Build(stub []byte, sections []Section) ([]byte, error) {
	out := make([]byte, 0, totalSize(stub, sections))
	b := &builder{file: append(out, stub...)}
	if err := b.prepare(); err != nil {
		return nil, fmt.Errorf("building an EFI image: stub: %w", err)
	}
	for _, s := range sections {
		if err := b.add(s); err != nil {
			return nil, fmt.Errorf("building an EFI image: section %s: %w", s.Name, err)
		}
	}
	b.finish()
	return b.file, nil
}

func totalSize(stub []byte, sections []Section) int {
	n := len(stub) + maxFileAlignment
	for _, s := range sections {
		n += len(s.Data) + 4096
	}
	return n
}

type builder struct {
	file          []byte
	headersEnd    uint32 // the first byte that is not free for section headers
	fileAlign     uint64
	memoryAlign   uint64
	stubSections  int
	initialised   uint64 // bytes of data sections added
	added         map[string]bool
	image         // of file; its views move with it
	dropNXSupport bool
}

func (b *builder) prepare() (err error) {
	if b.image, err = parse(b.file); err != nil {
		return err
	}
	b.stubSections, b.added = len(b.sections), map[string]bool{}
	b.fileAlign, b.memoryAlign = uint64(le.Uint32(b.opt[optFileAlignment:])), uint64(le.Uint32(b.opt[optSectionAlignment:]))
	if !powerOfTwo(b.fileAlign, maxFileAlignment) || !powerOfTwo(b.memoryAlign, maxMemoryAlignment) {
		return fmt.Errorf("odd alignments: %d in the file, %d in memory", b.fileAlign, b.memoryAlign)
	}
	if b.signed() {
		return errors.New("it is signed")
	}
	b.headersEnd = uint32(len(b.file))
	for _, s := range b.sections {
		if uint64(s.rawAt())+uint64(s.rawSize()) > uint64(len(b.file)) {
			return fmt.Errorf("section %s: its content is beyond the end of the file", s.name())
		}
		if s.rawSize() > 0 {
			b.headersEnd = min(b.headersEnd, s.rawAt(), s.virtualAt())
		}
	}
	b.pad()
	return nil
}

func powerOfTwo(n, most uint64) bool { return n != 0 && n&(n-1) == 0 && n <= most }

// pad fills the file up to its alignment.
func (b *builder) pad() {
	short := -uint64(len(b.file)) & (b.fileAlign - 1)
	b.file = append(b.file, make([]byte, short)...)
}

// add puts one section behind all others.
func (b *builder) add(s Section) error {
	if s.Name == "" || len(s.Name) > 8 {
		return errors.New("the name must have 1 to 8 bytes")
	}
	if b.added[s.Name] {
		return errors.New("it is there twice")
	}
	b.added[s.Name] = true
	for _, old := range b.sections[:b.stubSections] {
		if old.name() == s.Name {
			return b.replace(old, s.Data)
		}
	}
	at := b.tableAt + len(b.sections)*sectionHeaderSize
	if at+sectionHeaderSize > int(b.headersEnd) {
		return fmt.Errorf("the stub has no room for more than %d section headers", len(b.sections))
	}
	where := b.memoryEnd()
	if where+uint64(len(s.Data)) > 1<<31 || len(b.file)+len(s.Data) > 1<<31 {
		return errors.New("the image would exceed 2 GiB")
	}
	h := make([]byte, sectionHeaderSize)
	copy(h, s.Name)
	le.PutUint32(h[8:], uint32(len(s.Data)))
	le.PutUint32(h[12:], uint32(where))
	le.PutUint32(h[16:], uint32(roundUp(uint64(len(s.Data)), b.fileAlign)))
	le.PutUint32(h[20:], uint32(len(b.file)))
	le.PutUint32(h[36:], b.flags(s))
	copy(b.file[at:], h)
	le.PutUint16(b.coff[coffSections:], uint16(len(b.sections)+1))
	b.file = append(b.file, s.Data...)
	b.pad()
	return b.reparse()
}

// flags is the kind of a new section; it also looks into a kernel.
func (b *builder) flags(s Section) uint32 {
	if s.Name != ".linux" {
		b.initialised += uint64(len(s.Data))
		return containsData | memoryRead
	}
	kernel, err := parse(s.Data)
	if err == nil && le.Uint16(kernel.opt[optCharacteristics:])&nxCompatible == 0 {
		b.dropNXSupport = true
	}
	return containsCode | memoryRead
}

// replace puts new content into a section of the stub.
func (b *builder) replace(old header, data []byte) error {
	if len(data) > int(old.rawSize()) {
		return fmt.Errorf("the stub's own has %d bytes of room, not %d", old.rawSize(), len(data))
	}
	place := b.file[old.rawAt():][:old.rawSize()]
	clear(place[copy(place, data):])
	le.PutUint32(old.raw[8:], uint32(len(data)))
	return nil
}

// reparse renews the views after file has grown.
func (b *builder) reparse() (err error) {
	b.image, err = parse(b.file)
	return err
}

// memoryEnd is the first free aligned address.
func (b *builder) memoryEnd() uint64 {
	end := uint64(le.Uint32(b.opt[optSizeOfHeaders:]))
	for _, s := range b.sections {
		end = max(end, uint64(s.virtualAt())+uint64(max(s.virtualSize(), 1)))
	}
	return roundUp(end, b.memoryAlign)
}

func roundUp(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }

// finish sets the totals of the headers.
func (b *builder) finish() {
	le.PutUint32(b.coff[coffTime:], 0)
	le.PutUint32(b.opt[optInitialized:], le.Uint32(b.opt[optInitialized:])+uint32(b.initialised))
	le.PutUint32(b.opt[optSizeOfImage:], uint32(b.memoryEnd()))
	headers := roundUp(uint64(len(b.head)), b.fileAlign)
	le.PutUint32(b.opt[optSizeOfHeaders:], max(le.Uint32(b.opt[optSizeOfHeaders:]), uint32(headers)))
	le.PutUint32(b.opt[optChecksum:], 0)
	if b.dropNXSupport {
		flags := le.Uint16(b.opt[optCharacteristics:])
		le.PutUint16(b.opt[optCharacteristics:], flags&^nxCompatible)
	}
}
