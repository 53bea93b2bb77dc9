//go:build linux

package initrd

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
)

func volume(disk string, number int, typ, label string, blank bool) Volume {
	d := blockdev.Device{Name: disk + string(rune('0'+number)), Path: "/dev/" + disk + string(rune('0'+number)), Disk: disk, Partition: number, PartUUID: "0a-" + disk}
	if number == layout.Root {
		d.PartName = "ROOT"
	}
	return Volume{Device: d, Info: probe.Info{Type: typ, Label: label, UUID: "uuid-" + disk}, Blank: blank}
}

func TestDecideRoot(t *testing.T) {
	oem := volume("vda", 6, "ext4", "OEM", false)
	ext4 := volume("vda", 9, "ext4", "ROOT", false)
	other := volume("sdb", 9, "xfs", "ROOT", false)
	blank := volume("vda", 9, "", "", true)
	garbage := volume("vda", 9, "", "", false)
	luks := volume("vda", 9, "crypto_LUKS", "ROOT", false)
	bare := volume("vda", 9, "crypto_LUKS", "", false)
	dataMember := volume("vdb", 1, "linux_raid_member", "any:root", false)
	dataMember.Info.Usage = probe.RAID
	member := dataMember
	member.Type = typeRootRAID
	used := func(v Volume) Volume { v.Used = true; return v }
	for _, c := range []struct {
		name    string
		root    string
		volumes []Volume
		first   bool
		want    string // device, "create DEVICE", "memory" or part of the error
	}{
		{"by label", "LABEL=ROOT", []Volume{oem, ext4}, false, "vda9"},
		{"own disk first", "LABEL=ROOT", []Volume{other, ext4}, false, "vda9"},
		{"another disk", "LABEL=ROOT", []Volume{blank, other}, false, "sdb9"},
		{"by UUID", "UUID=UUID-sdb", []Volume{ext4, other}, false, "sdb9"},
		{"by partition", "PARTUUID=0A-SDB", []Volume{ext4, other}, false, "sdb9"},
		{"by partition label", "PARTLABEL=ROOT", []Volume{ext4}, false, "vda9"},
		{"by node", "/dev/vda9", []Volume{oem, ext4}, false, "vda9"},
		{"by link", "/dev/disk/by-label/ROOT", []Volume{oem, ext4}, false, "vda9"},
		{"in memory", "tmpfs", nil, false, "memory"},
		{"blank", "LABEL=ROOT", []Volume{oem, blank}, false, "create vda9"},
		{"blank by node", "/dev/vda9", []Volume{oem, blank}, false, "create vda9"},
		{"blank on another disk", "LABEL=ROOT", []Volume{volume("sdb", 9, "", "", true)}, false, "no root file system LABEL=ROOT among sdb9 ROOT (blank)"},
		{"half made", "LABEL=ROOT", []Volume{garbage}, true, "create vda9"},
		{"not ours to overwrite", "LABEL=ROOT", []Volume{oem, garbage}, false, "among vda6 (ext4, label OEM), vda9 ROOT (not recognised)"},
		{"a named one does not exist", "UUID=x", []Volume{blank}, true, "no root file system UUID=x among vda9 ROOT (blank)"},
		{"encrypted", "LABEL=ROOT", []Volume{luks}, true, "open vda9"},
		{"encrypted by partition label", "LABEL=ROOT", []Volume{bare}, false, "open vda9"},
		{"opened", "LABEL=ROOT", []Volume{used(bare), volume("dm-", 0, "ext4", "ROOT", false)}, false, "dm-0"},
		{"opened but empty", "LABEL=ROOT", []Volume{used(luks), blank}, true, "no root file system LABEL=ROOT among"},
		{"LVM", "PARTLABEL=ROOT", []Volume{volume("vda", 9, "LVM2_member", "", false)}, false, "which this version cannot open"},
		{"on an array", "LABEL=ROOT", []Volume{member, volume("md", 1, "xfs", "ROOT", false)}, false, "md1"},
		{"array not there yet", "LABEL=ROOT", []Volume{member, blank}, false, "no root file system LABEL=ROOT among vdb1 (linux_raid_member, label any:root)"},
		{"array of other data", "LABEL=ROOT", []Volume{dataMember, blank}, false, "create vda9"},
		{"nothing", "LABEL=ROOT", nil, true, "no block devices"},
	} {
		plan, err := DecideRoot(Options{Root: c.root}, c.volumes, "vda", c.first)
		got := plan.Volume.Device.Name
		switch {
		case err != nil:
			got = err.Error()
		case plan.Memory:
			got = "memory"
		case plan.Create:
			got = "create " + got
		case plan.Open:
			got = "open " + got
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestExt4Superblock(t *testing.T) {
	head := make([]byte, 2048)
	sb := head[1024:]
	binary.LittleEndian.PutUint32(sb[0x4:], 5)
	binary.LittleEndian.PutUint32(sb[0x18:], 2)
	binary.LittleEndian.PutUint16(sb[0x3a:], 1)
	binary.LittleEndian.PutUint32(sb[0x150:], 1)
	if got := ext4Size(head); got != 5*4096 {
		t.Errorf("size %d without 64bit", got)
	}
	binary.LittleEndian.PutUint32(sb[0x60:], ext4Has64Bit)
	if got := ext4Size(head); got != (1<<32+5)*4096 {
		t.Errorf("size %d with 64bit", got)
	}
	for state, want := range map[uint16]bool{1: false, 0: true, 3: true, 5: false} {
		binary.LittleEndian.PutUint16(sb[0x3a:], state)
		if got := needsCheck(head); got != want {
			t.Errorf("state %d: needs check %v", state, got)
		}
	}
}

func TestChooseSlot(t *testing.T) {
	hash := [32]byte{0xab, 0xcd}
	slot := func(name, state string, uuid [16]byte) Slot {
		return Slot{Device: blockdev.Device{Name: name, PartName: "USR-X"}, State: state, Superblock: verity.Superblock{UUID: uuid}}
	}
	ours := slot("vda4", "", layout.VerityUUID(hash))
	got, err := ChooseSlot(hash, []Slot{slot("vda3", "blank", [16]byte{}), ours})
	if err != nil || got.Device.Name != "vda4" {
		t.Errorf("chose %v, %v", got, err)
	}
	_, err = ChooseSlot(hash, []Slot{slot("vda3", "blank", [16]byte{}), slot("vda4", "", [16]byte{1})})
	want := "no /usr with root hash abcd00000000… among vda3 USR-X (blank), vda4 USR-X (EROFS, another image: verity UUID 01000000-0000-0000-0000-000000000000)"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, err := ChooseSlot(hash, nil); err == nil || !strings.Contains(err.Error(), "no USR partition") {
		t.Errorf("error %v", err)
	}
}

func TestTokens(t *testing.T) {
	dump := "LUKS header information\nVersion:       \t2\nKeyslots:\n  0: luks2\n\tKey: 512 bits\nTokens:\n  0: clevis\n\tKeyslot:    1\n  1: systemd-tpm2\n\ttpm2-hash-pcrs:   7\nDigests:\n  0: pbkdf2\n"
	if diff := cmp.Diff([]string{"clevis", "systemd-tpm2"}, parseTokens(strings.Split(dump, "\n"))); diff != "" {
		t.Error(diff)
	}
	if got := parseTokens(strings.Split("Tokens:\nDigests:\n  0: pbkdf2\n", "\n")); len(got) > 0 {
		t.Error(got)
	}
}
