package gpt

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// Source says which copy of the table was read.
type Source int

// The two copies.
const (
	Primary Source = iota
	Backup
)

// String names the copy.
func (s Source) String() string {
	if s == Backup {
		return "backup"
	}
	return "primary"
}

// ErrNone means that the disk has no GUID partition table, not even a damaged one.
var ErrNone = errors.New("no GUID partition table")

const maxEntries = 1024

// Read reads the table of a disk of size bytes. If the primary copy is
// damaged the backup is taken and the source says so; Write then repairs both.
// A sector size of 0 tries 512 and 4096. The table may describe a smaller disk
// (one grown after imaging): see Grow. The backup is looked for at the end of
// the disk, where the primary header points, and where the protective MBR ends.
func Read(r io.ReaderAt, size int64, sectorSize int) (Table, Source, error) {
	if sectorSize == 0 {
		t, from, err := Read(r, size, 512)
		if err == nil || !errors.Is(err, ErrNone) {
			return t, from, err
		}
		return Read(r, size, 4096)
	}
	d := disk{r, uint64(max(size, 0)) / uint64(sectorSize), sectorSize}
	if d.otherTable() {
		return Table{}, Primary, fmt.Errorf("reading the partition table: the disk has an MBR table: %w", ErrNone)
	}
	t, errPrimary := d.table(1)
	if errPrimary == nil {
		return t, Primary, nil
	}
	t, errBackup := d.backup()
	if errBackup == nil {
		return t, Backup, nil
	}
	if errors.Is(errPrimary, ErrNone) && errors.Is(errBackup, ErrNone) {
		return Table{}, Primary, fmt.Errorf("reading the partition table: %w", ErrNone)
	}
	return Table{}, Primary, fmt.Errorf("reading the partition table: primary: %v; backup: %v", errPrimary, errBackup)
}

// Damage tells what is wrong with each copy; nil means a good one. A backup
// that is not at the end of the disk (the disk has grown) is not damage.
func Damage(r io.ReaderAt, size int64, sectorSize int) (primary, backup error) {
	d := disk{r, uint64(max(size, 0)) / uint64(sectorSize), sectorSize}
	_, primary = d.table(1)
	_, backup = d.backup()
	return primary, backup
}

type disk struct {
	r          io.ReaderAt
	sectors    uint64
	sectorSize int
}

// read returns n bytes from a sector on.
func (d disk) read(sector uint64, n int) ([]byte, error) {
	need := (uint64(n) + uint64(d.sectorSize) - 1) / uint64(d.sectorSize)
	if sector >= d.sectors || need > d.sectors-sector {
		return nil, fmt.Errorf("sector %d is beyond the disk's %d", sector, d.sectors)
	}
	buf := make([]byte, n)
	if got, err := d.r.ReadAt(buf, int64(sector)*int64(d.sectorSize)); got < n {
		return nil, fmt.Errorf("reading sector %d: %w", sector, err)
	}
	return buf, nil
}

// otherTable tells whether sector 0 is an MBR with partitions of its own, so
// that GPT copies on the disk are leftovers.
func (d disk) otherTable() bool {
	mbr, err := d.read(0, 512)
	if err != nil || mbr[510] != 0x55 || mbr[511] != 0xaa {
		return false
	}
	used := false
	for i := mbrRecords; i < 510; i += 16 {
		if mbr[i+4] == protectiveType {
			return false
		}
		plausible := mbr[i]&0x7f == 0 && le.Uint32(mbr[i+12:]) != 0
		used = used || mbr[i+4] != 0 && plausible
	}
	return used
}

// backup tries every place that the backup header may be in.
func (d disk) backup() (Table, error) {
	places := []uint64{d.sectors - 1}
	if h, err := d.read(1, headerSize); err == nil && string(h[:8]) == signature {
		places = append(places, le.Uint64(h[32:]))
	}
	if mbr, err := d.read(0, 512); err == nil && mbr[mbrRecords+4] == protectiveType {
		places = append(places, uint64(le.Uint32(mbr[mbrRecords+12:])))
	}
	var found error = ErrNone
	for _, lba := range places {
		if lba < 2 {
			continue
		}
		t, err := d.table(lba)
		if err == nil {
			return t, nil
		}
		if errors.Is(found, ErrNone) {
			found = err
		}
	}
	return Table{}, found
}

// table reads the copy whose header is in sector lba.
func (d disk) table(lba uint64) (Table, error) {
	h, err := d.header(lba)
	if err != nil {
		return Table{}, err
	}
	count, size := le.Uint32(h[80:]), le.Uint32(h[84:])
	if size < entrySize || size > 4096 || size%8 != 0 || count == 0 || count > maxEntries {
		return Table{}, fmt.Errorf("%d entries of %d bytes are not supported", count, size)
	}
	entries, err := d.read(le.Uint64(h[72:]), int(count*size))
	if err != nil {
		return Table{}, fmt.Errorf("entries: %w", err)
	}
	if got, want := crc32.ChecksumIEEE(entries), le.Uint32(h[88:]); got != want {
		return Table{}, fmt.Errorf("entries: checksum %08x, the header says %08x", got, want)
	}
	t := Table{SectorSize: d.sectorSize, Sectors: max(lba, le.Uint64(h[32:])) + 1}
	if t.Sectors == 0 || t.Sectors > d.sectors {
		return Table{}, fmt.Errorf("the table describes %d sectors, the disk has %d", t.Sectors, d.sectors)
	}
	t.DiskGUID = GUID(h[56:72]).swapped()
	for i := range int(count) {
		if p, used := decodeEntry(entries[i*int(size):]); used {
			p.Number = i + 1
			t.Partitions = append(t.Partitions, p)
		}
	}
	return t, nil
}

// header reads and checks one header.
func (d disk) header(lba uint64) ([]byte, error) {
	h, err := d.read(lba, d.sectorSize)
	if err != nil {
		return nil, err
	}
	if string(h[:8]) != signature {
		return nil, fmt.Errorf("sector %d: %w", lba, ErrNone)
	}
	size := le.Uint32(h[12:])
	if size < headerSize || size > uint32(d.sectorSize) {
		return nil, fmt.Errorf("sector %d: header of %d bytes", lba, size)
	}
	sum := le.Uint32(h[16:])
	zeroed := bytes.Clone(h[:size])
	le.PutUint32(zeroed[16:], 0)
	if got := crc32.ChecksumIEEE(zeroed); got != sum {
		return nil, fmt.Errorf("sector %d: header checksum %08x, it says %08x", lba, got, sum)
	}
	if my := le.Uint64(h[24:]); my != lba {
		return nil, fmt.Errorf("sector %d: the header says that it is in sector %d", lba, my)
	}
	return h, nil
}

func decodeEntry(e []byte) (p Partition, used bool) {
	p.Type = GUID(e[0:16]).swapped()
	if p.Type == (GUID{}) {
		return Partition{}, false
	}
	p.GUID = GUID(e[16:32]).swapped()
	p.First, p.Last, p.Attributes = le.Uint64(e[32:]), le.Uint64(e[40:]), le.Uint64(e[48:])
	units := make([]uint16, 0, nameUnits)
	for i := range nameUnits {
		unit := le.Uint16(e[56+2*i:])
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	p.Name = string(utf16.Decode(units))
	return p, true
}
