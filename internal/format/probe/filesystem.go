package probe

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"wellcar.dev/internal/format/fat"
)

// Feature bits that decide between ext2, ext3 and ext4.
const (
	extCompatJournal   = 0x4
	extIncompatJournal = 0x8              // the device holds only a journal
	ext3Incompat       = 0x2 | 0x4 | 0x10 // filetype, recover, meta_bg
	ext3ROCompat       = 0x1 | 0x2 | 0x4  // sparse_super, large_file, btree_dir
	extSuperblock      = 1024             // bytes, at this offset and of this size
	btrfsSuperblock    = 64 << 10         // offset
	isoDescriptors     = 32 << 10         // offset
	isoSector          = 2048             // bytes
	isoMaxDescriptors  = 16               // looked at
)

func ext(d *device) (Info, bool) {
	sb := d.read(extSuperblock, extSuperblock)
	if sb == nil || le.Uint16(sb[56:]) != 0xef53 || le.Uint32(sb[24:]) > 6 {
		return Info{}, false
	}
	compat, incompat, roCompat := le.Uint32(sb[92:]), le.Uint32(sb[96:]), le.Uint32(sb[100:])
	info := Info{Type: "ext2", Label: text(sb[120:136]), UUID: uuid(sb[104:120]), Usage: Filesystem}
	switch {
	case incompat&extIncompatJournal != 0:
		info.Type, info.Usage = "jbd", Other
	case incompat&^ext3Incompat != 0 || roCompat&^ext3ROCompat != 0:
		info.Type = "ext4"
	case compat&extCompatJournal != 0:
		info.Type = "ext3"
	}
	return info, true
}

func xfs(d *device) (Info, bool) {
	sb := d.read(0, 512)
	if sb == nil || string(sb[:4]) != "XFSB" {
		return Info{}, false
	}
	if block := be.Uint32(sb[4:]); block < 512 || block > 65536 || block&(block-1) != 0 {
		return Info{}, false
	}
	return Info{Type: "xfs", Label: text(sb[108:120]), UUID: uuid(sb[32:48]), Usage: Filesystem}, true
}

func btrfs(d *device) (Info, bool) {
	sb := d.read(btrfsSuperblock, 4096)
	if sb == nil || string(sb[64:72]) != "_BHRfS_M" || le.Uint64(sb[48:]) != btrfsSuperblock {
		return Info{}, false
	}
	return Info{Type: "btrfs", Label: text(sb[0x12b:][:256]), UUID: uuid(sb[32:48]), Usage: Filesystem}, true
}

func erofs(d *device) (Info, bool) {
	sb := d.read(1024, 128)
	if sb == nil || le.Uint32(sb) != 0xe0f5e1e2 || sb[12] < 9 || sb[12] > 16 {
		return Info{}, false
	}
	return Info{Type: "erofs", Label: text(sb[64:80]), UUID: uuid(sb[48:64]), Usage: Filesystem}, true
}

func squashfs(d *device) (Info, bool) {
	sb := d.read(0, 96)
	if sb == nil || string(sb[:4]) != "hsqs" || le.Uint16(sb[28:]) != 4 {
		return Info{}, false
	}
	return Info{Type: "squashfs", Usage: Filesystem}, true
}

func vfat(d *device) (Info, bool) {
	b := d.read(0, 512)
	if b == nil || b[510] != 0x55 || b[511] != 0xaa || b[0] != 0xeb && b[0] != 0xe9 || b[21] < 0xf0 {
		return Info{}, false
	}
	sector, cluster := le.Uint16(b[11:]), b[13]
	powers := sector >= 512 && sector <= 4096 && sector&(sector-1) == 0 && cluster != 0 && cluster&(cluster-1) == 0
	if !powers || le.Uint16(b[14:]) == 0 || b[16] == 0 || b[16] > 2 {
		return Info{}, false
	}
	extended := b[36:]
	if le.Uint16(b[22:]) == 0 { // FAT32 has its table size elsewhere
		if le.Uint32(b[36:]) == 0 {
			return Info{}, false
		}
		extended = b[64:]
	}
	info := Info{Type: "vfat", Usage: Filesystem}
	if extended[2] == 0x29 {
		id := le.Uint32(extended[3:])
		info.UUID = fmt.Sprintf("%04X-%04X", id>>16, id&0xffff)
		info.Label = strings.TrimRight(text(extended[7:18]), " ")
	}
	if info.Label == "NO NAME" {
		info.Label = ""
	}
	if v, err := fat.Open(d); err == nil {
		info.Label = text([]byte(v.Label()))
	}
	return info, true
}

func swap(d *device) (Info, bool) {
	head := d.read(1024, 44)
	for _, page := range []int64{4096, 8192, 16384, 65536} {
		if head == nil || le.Uint32(head) != 1 || string(d.read(page-10, 10)) != "SWAPSPACE2" {
			continue
		}
		return Info{Type: "swap", Label: text(head[28:44]), UUID: uuid(head[12:28]), Usage: Other}, true
	}
	return Info{}, false
}

// iso9660 takes the label of the Joliet descriptor where the plain one is
// only its upper-case, cut form.
func iso9660(d *device) (Info, bool) {
	var info Info
	for i := range isoMaxDescriptors {
		v := d.read(isoDescriptors+int64(i)*isoSector, isoSector)
		if v == nil || string(v[1:6]) != "CD001" || v[0] == 255 {
			break
		}
		switch {
		case v[0] == 1 && info.Type == "":
			info = Info{Type: "iso9660", Label: strings.TrimRight(text(v[40:72]), " "), UUID: isoUUID(v), Usage: Filesystem}
		case v[0] == 2 && string(v[88:90]) == "%/":
			if joliet := utf16BE(v[40:72]); len(joliet) > 0 && sameStart(info.Label, joliet) {
				info.Label = joliet
			}
		}
	}
	return info, info.Type != ""
}

// sameStart tells whether the shorter of two labels begins the other one,
// whatever their case and spaces.
func sameStart(a, b string) bool {
	fold := strings.NewReplacer(" ", "_")
	a, b = strings.ToUpper(fold.Replace(a)), strings.ToUpper(fold.Replace(b))
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

func utf16BE(b []byte) string {
	var units []uint16
	for i := 0; i+1 < len(b); i += 2 {
		if u := be.Uint16(b[i:]); u != 0 {
			units = append(units, u)
		}
	}
	return strings.TrimRight(string(utf16.Decode(units)), " ")
}

// isoUUID is the time of the last change, else of creation, to a hundredth of
// a second: 2025-10-01-12-34-56-00.
func isoUUID(v []byte) string {
	for _, at := range []int{830, 813} {
		t := string(v[at:][:16])
		if strings.Trim(t, "0") == "" || strings.Trim(t, "0123456789") != "" {
			continue
		}
		return strings.Join([]string{t[:4], t[4:6], t[6:8], t[8:10], t[10:12], t[12:14], t[14:16]}, "-")
	}
	return ""
}
