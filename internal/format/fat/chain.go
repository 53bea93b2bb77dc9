package fat

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf16"

	"wellcar.dev/internal/format/fstree"
)

// entry is one name of a directory.
type entry struct {
	name    string
	short   [11]byte
	attr    byte
	cluster uint32
	size    uint32
	isRoot  bool
}

// shortName is the 8.3 name with its dot.
func (e entry) shortName() string {
	base, ext := strings.TrimRight(string(e.short[:8]), " "), strings.TrimRight(string(e.short[8:]), " ")
	if ext != "" {
		return base + "." + ext
	}
	return base
}

func (f *FS) root() entry { return entry{attr: attrDir, cluster: f.rootCluster, isRoot: true} }

// list reads a directory; "." and ".." are left out.
func (f *FS) list(dir entry) ([]entry, error) {
	src := fstree.Blob{Source: f.r, Offset: f.rootAt(), Size: f.rootEntries * entrySize}
	if !dir.isRoot || f.bits == 32 {
		var err error
		if src, err = f.chain(dir.cluster, maxDirBytes); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(src.Reader())
	if err != nil {
		return nil, err
	}
	return decodeEntries(data), nil
}

// decodeEntries joins long names with the short entries that they belong to.
func decodeEntries(data []byte) (all []entry) {
	var units []uint16
	var sum byte
	expected := 0 // sequence number of the next long-name entry; 0 when complete
	for ; len(data) >= entrySize && data[0] != 0; data = data[entrySize:] {
		raw := data[:entrySize]
		switch {
		case raw[0] == 0xe5:
			units = nil
		case raw[11]&0x3f == attrLong:
			seq := int(raw[0] & 0x3f)
			if raw[0]&0x40 != 0 {
				units, expected, sum = nil, seq, raw[13]
			}
			if seq == 0 || seq != expected || sum != raw[13] {
				units, expected = nil, -1
				continue
			}
			units = append(longPart(raw), units...)
			expected--
		default:
			e := shortEntry(raw)
			if units != nil && expected == 0 && checksum(raw) == sum && e.attr&attrLabel == 0 {
				e.name = string(utf16.Decode(units))
			}
			units, expected = nil, 0
			if raw[0] != '.' {
				all = append(all, e)
			}
		}
	}
	return all
}

// longPart is the piece of a name in one long-name entry.
func longPart(raw []byte) []uint16 {
	part := make([]uint16, 0, unitsPerLong)
	for _, at := range longOffsets {
		unit := le.Uint16(raw[at:])
		if unit == 0 {
			break
		}
		part = append(part, unit)
	}
	return part
}

// shortEntry decodes the entry proper. Its name has lower case where the two
// case flags of Windows NT say so.
func shortEntry(raw []byte) entry {
	e := entry{attr: raw[11], cluster: uint32(le.Uint16(raw[20:]))<<16 | uint32(le.Uint16(raw[26:])), size: le.Uint32(raw[28:])}
	copy(e.short[:], raw)
	if e.short[0] == 0x05 {
		e.short[0] = 0xe5
	}
	named := e
	for i, c := range e.short {
		lower := i < 8 && raw[12]&0x08 != 0 || i >= 8 && raw[12]&0x10 != 0
		if lower && c >= 'A' && c <= 'Z' {
			named.short[i] = c + 'a' - 'A'
		}
	}
	e.name = named.shortName()
	return e
}

// blob is the content of a file.
func (f *FS) blob(e entry) (fstree.Blob, error) {
	if e.size == 0 {
		return fstree.BytesBlob(nil), nil
	}
	b, err := f.chain(e.cluster, int64(e.size))
	if err == nil && b.Size < int64(e.size) {
		err = fmt.Errorf("its clusters hold only %d of %d bytes", b.Size, e.size)
	}
	b.Size = int64(e.size)
	return b, err
}

var errChain = errors.New("broken cluster chain")

// chain follows the FAT from a cluster on, until the end or until limit bytes
// are covered.
func (f *FS) chain(cluster uint32, limit int64) (fstree.Blob, error) {
	x := &extents{r: f.r}
	table := fatPage{fs: f, page: -1}
	if f.bits == 16 {
		cluster &= 0xffff
	}
	for n := int64(0); x.size < limit; n++ {
		if !f.valid(cluster) || n > f.clusters {
			return fstree.Blob{}, fmt.Errorf("cluster %d: %w", cluster, errChain)
		}
		x.add(f.clusterAt(cluster), f.clusterSize())
		next, err := table.next(cluster)
		if err != nil {
			return fstree.Blob{}, err
		}
		if next >= 0x0ffffff8 || f.bits == 16 && next >= 0xfff8 {
			break
		}
		cluster = next
	}
	return fstree.Blob{Source: x, Size: x.size}, nil
}

// fatPage holds one page of the FAT.
type fatPage struct {
	fs   *FS
	page int64
	buf  [4096]byte
}

func (p *fatPage) next(cluster uint32) (uint32, error) {
	at := int64(cluster) * int64(p.fs.bits/8)
	if page := at / int64(len(p.buf)); page != p.page {
		n, err := p.fs.r.ReadAt(p.buf[:], p.fs.reserved*p.fs.sector+page*int64(len(p.buf)))
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("reading the FAT: %w", err)
		}
		clear(p.buf[n:])
		p.page = page
	}
	raw := p.buf[at%int64(len(p.buf)):]
	if p.fs.bits == 32 {
		return le.Uint32(raw) & endOfChain32, nil
	}
	return uint32(le.Uint16(raw)), nil
}

// extents reads pieces of a source as if they were joined.
type extents struct {
	r    io.ReaderAt
	list []extent
	size int64
}

type extent struct{ from, at, size int64 } // from: in the joined bytes; at: in the source

func (x *extents) add(at, size int64) {
	if n := len(x.list); n > 0 && x.list[n-1].at+x.list[n-1].size == at {
		x.list[n-1].size += size
	} else {
		x.list = append(x.list, extent{x.size, at, size})
	}
	x.size += size
}

// ReadAt implements io.ReaderAt.
func (x *extents) ReadAt(p []byte, off int64) (done int, err error) {
	i := sort.Search(len(x.list), func(i int) bool { return x.list[i].from+x.list[i].size > off })
	for ; i < len(x.list) && done < len(p); i++ {
		e := x.list[i]
		skip := off + int64(done) - e.from
		want := min(int64(len(p)-done), e.size-skip)
		n, err := x.r.ReadAt(p[done:done+int(want)], e.at+skip)
		done += n
		if n < int(want) {
			return done, err
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}
