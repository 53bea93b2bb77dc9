package probe

import (
	"errors"
	"strings"

	"wellcar.dev/internal/format/gpt"
)

const mdMagic = 0xa92b4efc

// mdraid1 finds a version 1 superblock: 1.1 at the start, 1.2 at 4 KiB, 1.0
// between 8 and 12 KiB before the end.
func mdraid1(d *device) (Info, bool) {
	end := int64(0)
	if d.size >= 16<<10 {
		end = (d.size/512 - 16) &^ 7 * 512
	}
	for _, at := range []int64{end, 0, 4096} {
		sb := d.read(at, 256)
		if sb == nil || le.Uint32(sb) != mdMagic || le.Uint32(sb[4:]) != 1 || int64(le.Uint64(sb[144:])) != at/512 {
			continue
		}
		return Info{Type: "linux_raid_member", Label: text(sb[32:64]), UUID: uuid(sb[16:32]), Usage: RAID}, true
	}
	return Info{}, false
}

// mdraid09 finds a 0.90 superblock in the last whole 64 KiB but one.
func mdraid09(d *device) (Info, bool) {
	if d.size < 128<<10 {
		return Info{}, false
	}
	sb := d.read(d.size&^(64<<10-1)-64<<10, 4096)
	if sb == nil || le.Uint32(sb) != mdMagic || le.Uint32(sb[4:]) != 0 {
		return Info{}, false
	}
	var id [16]byte
	for i, at := range []int{20, 52, 56, 60} { // its four words are numbers, not bytes
		be.PutUint32(id[4*i:], le.Uint32(sb[at:]))
	}
	return Info{Type: "linux_raid_member", UUID: uuid(id[:]), Usage: RAID}, true
}

func luks(d *device) (Info, bool) {
	h := d.read(0, 512)
	if h == nil || string(h[:6]) != "LUKS\xba\xbe" {
		return Info{}, false
	}
	info := Info{Type: "crypto_LUKS", UUID: text(h[168:208]), Usage: Crypto}
	switch be.Uint16(h[6:]) {
	case 1:
	case 2:
		info.Label = text(h[24:72])
	default:
		return Info{}, false
	}
	return info, true
}

// lvm2 finds the label of a physical volume in one of the first four sectors.
func lvm2(d *device) (Info, bool) {
	for sector := range int64(4) {
		b := d.read(sector*512, 512)
		if b == nil || string(b[:8]) != "LABELONE" || string(b[24:32]) != "LVM2 001" || le.Uint64(b[8:]) != uint64(sector) {
			continue
		}
		at := le.Uint32(b[20:])
		if at < 32 || at > 512-32 {
			continue
		}
		var groups []string
		id := text(b[at:][:32])
		for _, n := range []int{6, 4, 4, 4, 4, 4, 6} {
			n = min(n, len(id))
			groups, id = append(groups, id[:n]), id[n:]
		}
		return Info{Type: "LVM2_member", UUID: strings.Join(groups, "-"), Usage: RAID}, true
	}
	return Info{}, false
}

func verity(d *device) (Info, bool) {
	sb := d.read(0, 512)
	if sb == nil || string(sb[:8]) != "verity\x00\x00" || le.Uint32(sb[8:]) != 1 {
		return Info{}, false
	}
	return Info{Type: "DM_verity_hash", UUID: uuid(sb[16:32]), Usage: Crypto}, true
}

// gptTable also reports a table of which no copy is whole, without its UUID:
// such a disk is not blank.
func gptTable(d *device) (Info, bool) {
	t, _, err := gpt.Read(d, d.size, 0)
	if errors.Is(err, gpt.ErrNone) {
		return Info{}, false
	}
	info := Info{Type: "gpt", Usage: Table}
	if err == nil {
		info.UUID = t.DiskGUID.String()
	}
	return info, true
}

func dosTable(d *device) (Info, bool) {
	b := d.read(0, 512)
	if b == nil || b[510] != 0x55 || b[511] != 0xaa {
		return Info{}, false
	}
	used := false
	for i := 446; i < 510; i += 16 {
		if b[i]&0x7f != 0 {
			return Info{}, false
		}
		used = used || b[i+4] != 0 && le.Uint32(b[i+12:]) != 0
	}
	return Info{Type: "dos", Usage: Table}, used
}
