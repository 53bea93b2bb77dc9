package probe

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

const id = "11223344-5566-7788-99aa-bbccddeeff00"

// fixtures are the first bytes of what the reference tools made, and the
// size that the device had.
var fixtures = map[string]struct {
	size int64
	want Info
}{
	"ext2":     {1 << 20, Info{"ext2", "EXT2LABEL", id, Filesystem}},
	"ext3":     {4 << 20, Info{"ext3", "EXT3LABEL", id, Filesystem}},
	"ext4":     {4 << 20, Info{"ext4", "EXT4LABEL", id, Filesystem}},
	"xfs":      {300 << 20, Info{"xfs", "XFSLABEL", id, Filesystem}},
	"btrfs":    {120 << 20, Info{"btrfs", "BTRFSLABEL", id, Filesystem}},
	"vfat12":   {1 << 20, Info{"vfat", "VFAT12", "1234-5678", Filesystem}},
	"vfat16":   {16 << 20, Info{"vfat", "", "1234-5678", Filesystem}},
	"vfat32":   {64 << 20, Info{"vfat", "VFAT32", "1234-5678", Filesystem}},
	"erofs":    {4096, Info{"erofs", "", id, Filesystem}},
	"squashfs": {4096, Info{"squashfs", "", "", Filesystem}},
	"swap":     {1 << 20, Info{"swap", "SWAPLABEL", id, Other}},
	"luks1":    {20 << 20, Info{"crypto_LUKS", "", id, Crypto}},
	"luks2":    {20 << 20, Info{"crypto_LUKS", "LUKSLABEL", id, Crypto}},
	"verity":   {16 << 10, Info{"DM_verity_hash", "", id, Crypto}},
	"lvm":      {4 << 20, Info{"LVM2_member", "", "abcdef-0123-4567-89AB-CDEF-ghij-klmnop", RAID}},
	"iso":      {372736, Info{"iso9660", "config-2", "2025-10-01-12-34-56-00", Filesystem}},
	"udf":      {909312, Info{"udf", "cidata", "6b0653bc00000a90", Filesystem}},
	"isoplain": {358400, Info{"iso9660", "PLAIN", "2025-10-01-12-34-56-00", Filesystem}},
	"gpt":      {4 << 20, Info{"gpt", "", id, Table}},
}

// head is a device of which all but the first bytes are zero.
type head []byte

func (h head) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(h)) {
		copy(p, h[off:])
	}
	return len(p), nil
}

func fixture(t testing.TB, name string) head {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func check(t *testing.T, name string, r io.ReaderAt, size int64, want Info) {
	t.Helper()
	got, err := Identify(r, size)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s:\n%s", name, diff)
	}
}

func TestFixtures(t *testing.T) {
	for name, f := range fixtures {
		check(t, name, fixture(t, name), f.size, f.want)
	}
}

// md makes a RAID superblock of version 1.x (minor) at its place on a device.
func md(size int64, minor int) head {
	h := make(head, size)
	at := []int64{(size/512 - 16) &^ 7 * 512, 0, 4096}[minor]
	sb := h[at:]
	le.PutUint32(sb, mdMagic)
	le.PutUint32(sb[4:], 1)
	copy(sb[16:], "\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00")
	copy(sb[32:], "host:data")
	le.PutUint32(sb[72:], 1)   // level
	le.PutUint32(sb[92:], 2)   // disks
	le.PutUint64(sb[80:], 100) // size
	le.PutUint64(sb[136:], 100)
	le.PutUint64(sb[144:], uint64(at/512))
	le.PutUint32(sb[220:], 2) // max_dev
	sum := uint64(0)
	for i := 0; i < 256+2*2; i += 4 {
		sum += uint64(le.Uint32(sb[i:]))
	}
	le.PutUint32(sb[216:], uint32(sum)+uint32(sum>>32))
	return h
}

// md09 makes a RAID superblock of version 0.90.
func md09(size int64) head {
	h := make(head, size)
	sb := h[size&^(64<<10-1)-64<<10:]
	for at, v := range map[int]uint32{0: mdMagic, 8: 90, 20: 0x11223344, 52: 0x55667788, 56: 0x99aabbcc, 60: 0xddeeff00} {
		le.PutUint32(sb[at:], v)
	}
	return h
}

func TestRAID(t *testing.T) {
	for minor := range 3 {
		for _, size := range []int64{1 << 20, 1<<20 + 1536} {
			check(t, "version 1", md(size, minor), size, Info{"linux_raid_member", "host:data", id, RAID})
		}
	}
	for _, size := range []int64{1 << 20, 1<<20 + 1536} {
		check(t, "version 0.90", md09(size), size, Info{"linux_raid_member", "", id, RAID})
	}
	// The member of a mirror whose superblock is at the end is no file system.
	both := md(4<<20, 0)
	copy(both, fixture(t, "ext4"))
	check(t, "mirror of ext4", both, 4<<20, Info{"linux_raid_member", "host:data", id, RAID})
}

func TestBlankAndTables(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 512, 1024, 1 << 16, 1 << 40} {
		check(t, "blank", head{}, size, Info{})
	}
	mbr := make(head, 512)
	copy(mbr[446:], []byte{0x80, 1, 1, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0})
	mbr[510], mbr[511] = 0x55, 0xaa
	check(t, "MBR", mbr, 1<<20, Info{Type: "dos", Usage: Table})
	mbr[446+4] = 0
	check(t, "MBR without partitions", mbr, 1<<20, Info{})
	broken := fixture(t, "gpt")
	broken[512+56]++
	check(t, "GPT with no whole copy", broken, 4<<20, Info{Type: "gpt", Usage: Table})
}

func TestTruncatedDevices(t *testing.T) {
	for name, f := range fixtures {
		full := fixture(t, name)
		for _, size := range []int64{3, 100, 510, 600, 1030, 1100, 4000, 33000} {
			got, err := Identify(bytes.NewReader(full[:min(size, int64(len(full)))]), size)
			if err != nil || got.Type != "" && got.Type != f.want.Type && got.Type != "dos" {
				t.Errorf("%s cut to %d bytes: %+v, %v", name, size, got, err)
			}
		}
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("medium error") }

func TestReadErrors(t *testing.T) {
	if _, err := Identify(broken{}, 1<<20); err == nil || !strings.Contains(err.Error(), "medium error") {
		t.Error(err)
	}
}

func TestBlkidAgrees(t *testing.T) {
	const mdSize = 4 << 20 // on less it does not look for RAID
	names := map[string]head{"md1.0": md(mdSize, 0), "md1.1": md(mdSize, 1), "md1.2": md(mdSize, 2), "md0.9": md09(mdSize)}
	for name := range fixtures {
		names[name] = fixture(t, name)
	}
	for name, c := range udfSets {
		names["udf: "+name] = udfNamed(t, c.set, "\x08a") // it escapes labels that are not ASCII
	}
	for name, data := range names {
		size := int64(mdSize)
		if f, ok := fixtures[name]; ok {
			size = f.size
		}
		file := filepath.Join(t.TempDir(), "device")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
		out, err := tooltest.Command(t, "blkid", "-p", "-o", "export", file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
			continue
		}
		check(t, name, data, size, fromBlkid(string(out)))
	}
}

func fromBlkid(out string) (info Info) {
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.ReplaceAll(value, `\`, "")
		switch key {
		case "TYPE":
			info.Type = value
		case "PTTYPE":
			info.Type, info.Usage = value, Table
		case "LABEL":
			info.Label = value
		case "UUID", "PTUUID":
			info.UUID = value
		case "USAGE":
			info.Usage = value
		}
	}
	return info
}

// The UUID of each was found to be blkid's by TestBlkidAgrees.
var udfSets = map[string]struct{ set, label, wantLabel, wantUUID string }{
	"digits":             {"\x086B0653BC00000A90LinuxUDF", "\x08a", "a", "6b0653bc00000a90"},
	"8 digits":           {"\x086B0653BCxyz", "\x08a", "a", "6b0653bc78797a00"},
	"15 digits":          {"\x086B0653BC00000A9 more", "\x08a", "a", "6b0653bc30303030"},
	"text":               {"\x08volume set", "\x08a", "a", "766f6c756d652073"},
	"short":              {"\x086B0653B", "\x08a", "a", ""},
	"Latin-1":            {"\x08\xe4\xf6\xfc4567", "\x08K\xf6ln", "Köln", "c3a4c3b6c3bc3435"},
	"16 bits":            {"\x10\x006\x00B\x000\x006\x005\x003\x00B\x00C\x20\xac", "\x10\x20\xac", "€", "6b0653bce282ac00"},
	"unknown characters": {"\x076B0653BC00000A90", "\x07a", "", ""},
}

// udfNamed is the UDF fixture with other names.
func udfNamed(t testing.TB, set, label string) head {
	h := bytes.Clone(fixture(t, "udf"))
	first := h[int(le.Uint32(h[udfAnchorSector*isoSector+20:]))*isoSector:]
	put := func(sector, at int, name string) {
		field := first[sector*isoSector+at:][:128]
		clear(field)
		copy(field, name)
		field[127] = byte(len(name))
		sealUDF(first[sector*isoSector:][:512])
	}
	put(0, 72, set)
	put(3, 84, label)
	return h
}

// sealUDF makes the checksums of a descriptor right (ECMA-167, 3/7.2).
func sealUDF(b []byte) {
	var crc uint16
	for _, c := range b[16:] {
		crc ^= uint16(c) << 8
		for range 8 {
			crc = crc<<1 ^ crc>>15*0x1021
		}
	}
	le.PutUint16(b[8:], crc)
	le.PutUint16(b[10:], uint16(len(b)-16))
	b[4] = 0
	for i, c := range b[:16] {
		if i != 4 {
			b[4] += c
		}
	}
}

func TestUDFNames(t *testing.T) {
	for name, c := range udfSets {
		check(t, name, udfNamed(t, c.set, c.label), fixtures["udf"].size, Info{"udf", c.wantLabel, c.wantUUID, Filesystem})
	}
}

func FuzzIdentify(f *testing.F) {
	for name, x := range fixtures {
		if data := fixture(f, name); len(data) <= 40960 {
			f.Add([]byte(data), x.size)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		if _, err := Identify(head(data), size); err != nil {
			t.Error(err)
		}
		if _, err := Identify(bytes.NewReader(data), size); err != nil {
			t.Error(err)
		}
	})
}
