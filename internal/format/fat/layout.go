package fat

import (
	"fmt"
	"io"
	"path"
	"time"

	"wellcar.dev/internal/format/fstree"
)

// write writes the parts of a planned volume, the boot sector last.
func (v *volume) write(w io.WriterAt) error {
	parents := map[string]uint32{}
	for _, it := range v.items {
		if it.node.Kind == fstree.File {
			if err := v.writeFile(w, it); err != nil {
				return err
			}
			continue
		}
		parents[it.node.Path] = it.cluster
		at := v.rootAt()
		if it.cluster != 0 {
			at = v.clusterAt(it.cluster)
		}
		if _, err := w.WriteAt(v.directory(it, parents), at); err != nil {
			return err
		}
	}
	table := v.table()
	for i := range v.fats {
		if _, err := w.WriteAt(table, (v.reserved+i*v.fatSize)*v.sector); err != nil {
			return err
		}
	}
	return v.writeHead(w)
}

func (v *volume) writeFile(w io.WriterAt, it *item) error {
	if it.count == 0 {
		return nil
	}
	n, err := io.Copy(io.NewOffsetWriter(w, v.clusterAt(it.cluster)), it.node.Blob.Reader())
	if err == nil && n < it.node.Blob.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%s: %w", it.node.Path, err)
	}
	return nil
}

// directory is the content of a directory. parents holds the clusters of the
// directories above.
func (v *volume) directory(dir *item, parents map[string]uint32) []byte {
	var out []byte
	if dir.node.Path != "." {
		up := parents[path.Dir(dir.node.Path)]
		if path.Dir(dir.node.Path) == "." {
			up = 0 // the root is always written as 0 here
		}
		out = append(out, v.entry(pack(".", ""), attrDir, dir.cluster, 0)...)
		out = append(out, v.entry(pack("..", ""), attrDir, up, 0)...)
	} else if v.opt.Label != "" {
		var label [11]byte
		copy(label[:], padded(v.opt.Label))
		out = append(out, v.entry(label, attrLabel, 0, 0)...)
	}
	for _, it := range v.children[dir.node.Path] {
		out = append(out, it.long...)
		if it.node.Kind == fstree.Dir {
			out = append(out, v.entry(it.short, attrDir, it.cluster, 0)...)
		} else {
			out = append(out, v.entry(it.short, attrArchive, it.cluster, uint32(it.node.Blob.Size))...)
		}
	}
	return out
}

func (v *volume) entry(short [11]byte, attr byte, cluster, size uint32) []byte {
	e := make([]byte, entrySize)
	copy(e, short[:])
	e[11] = attr
	date, clock := stamp(v.opt.Time)
	le.PutUint16(e[14:], clock) // created
	le.PutUint16(e[16:], date)
	le.PutUint16(e[18:], date) // read
	le.PutUint16(e[20:], uint16(cluster>>16))
	le.PutUint16(e[22:], clock) // written
	le.PutUint16(e[24:], date)
	le.PutUint16(e[26:], uint16(cluster))
	le.PutUint32(e[28:], size)
	return e
}

// stamp is a time in the two words of a directory entry.
func stamp(t time.Time) (date, clock uint16) {
	t = t.UTC()
	if t.Year() < 1980 || t.Year() > 2107 {
		return 1<<5 | 1, 0
	}
	date = uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day())
	return date, uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
}

func padded(label string) string { return (label + "           ")[:11] }

// table is the used head of the FAT.
func (v *volume) table() []byte {
	next := make([]uint32, v.next)
	next[0], next[1] = 0x0fffff00|media, endOfChain32
	for _, it := range v.items {
		for i := range it.count {
			next[it.cluster+i] = it.cluster + i + 1
		}
		if it.count > 0 {
			next[it.cluster+it.count-1] = endOfChain32
		}
	}
	out := make([]byte, len(next)*v.bits/8)
	for i, n := range next {
		if v.bits == 32 {
			le.PutUint32(out[4*i:], n)
		} else {
			le.PutUint16(out[2*i:], uint16(n))
		}
	}
	return out
}

// writeHead writes the boot sector, and for FAT32 FSInfo and the copies of both.
func (v *volume) writeHead(w io.WriterAt) error {
	boot := v.bootSector()
	if v.bits == 32 {
		head := append(boot, v.infoBytes()...)
		if _, err := w.WriteAt(head, v.backupSector*v.sector); err != nil {
			return err
		}
		boot = head
	}
	_, err := w.WriteAt(boot, 0)
	return err
}

func (v *volume) bootSector() []byte {
	b := make([]byte, v.sector)
	copy(b, []byte{0xeb, 0x58, 0x90})
	copy(b[3:], "WELLCAR ")
	le.PutUint16(b[11:], uint16(v.sector))
	b[13] = byte(v.perCluster)
	le.PutUint16(b[14:], uint16(v.reserved))
	b[16] = byte(v.fats)
	le.PutUint16(b[17:], uint16(v.rootEntries))
	b[21] = media
	le.PutUint16(b[24:], 63)  // sectors of a track and
	le.PutUint16(b[26:], 255) // heads mean nothing, but must not be 0
	extended := b[36:]
	if v.bits == 32 {
		le.PutUint32(b[36:], uint32(v.fatSize))
		le.PutUint32(b[44:], v.rootCluster)
		le.PutUint16(b[48:], uint16(v.infoSector))
		le.PutUint16(b[50:], uint16(v.backupSector))
		extended = b[64:]
	} else {
		b[1] = 0x3c // the jump skips a shorter head
		le.PutUint16(b[22:], uint16(v.fatSize))
	}
	if v.total < 1<<16 && v.bits == 16 {
		le.PutUint16(b[19:], uint16(v.total))
	} else {
		le.PutUint32(b[32:], uint32(v.total))
	}
	extended[0], extended[2] = 0x80, 0x29 // a hard disk; the next fields are there
	le.PutUint32(extended[3:], v.opt.VolumeID)
	label := v.opt.Label
	if label == "" {
		label = "NO NAME"
	}
	copy(extended[7:], padded(label))
	copy(extended[18:], padded(map[int]string{16: "FAT16", 32: "FAT32"}[v.bits])[:8])
	b[510], b[511] = 0x55, 0xaa
	return b
}

func (v *volume) infoBytes() []byte {
	b := make([]byte, v.sector)
	copy(b, "RRaA")
	copy(b[484:], "rrAa")
	le.PutUint32(b[488:], uint32(v.clusters+2-int64(v.next)))
	free := v.next
	if !v.valid(free) {
		free = 0xffffffff
	}
	le.PutUint32(b[492:], free)
	b[510], b[511] = 0x55, 0xaa
	return b
}
