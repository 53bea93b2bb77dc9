//go:build linux

package initrd

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
)

// Volume is a device that could be the root file system.
type Volume struct {
	Device blockdev.Device
	Info   probe.Info
	Blank  bool // nothing is recognised, and the start is all zeros

	Type gpt.GUID // of the partition
	Used bool     // by an array or a volume on top of it
}

// rootMember says that the volume is a part of the array that ROOT is on.
func (v Volume) rootMember() bool {
	return v.Info.Type == "linux_raid_member" && v.Type == typeRootRAID
}

// rootEncrypted says that the volume has to be opened for ROOT: it is labelled
// so in the partition table or in its own header.
func (v Volume) rootEncrypted() bool {
	return v.Info.Type == "crypto_LUKS" && (v.Device.PartName == RootLabel || v.Info.Label == RootLabel)
}

// describe is as in "vda9 ROOT (ext4, label ROOT)".
func (v Volume) describe() string {
	what := v.Info.Type
	switch {
	case what != "" && v.Info.Label != "":
		what += ", label " + v.Info.Label
	case what == "" && v.Blank:
		what = "blank"
	case what == "":
		what = "not recognised"
	}
	return strings.Join(strings.Fields(v.Device.Name+" "+v.Device.PartName), " ") + " (" + what + ")"
}

// RootPlan says what becomes the root file system. At most one of Memory,
// Create and Open applies; without any, what is there is mounted.
type RootPlan struct {
	Memory bool   // a tmpfs
	Create bool   // make a file system on Volume first
	Open   bool   // Volume is encrypted: what it holds decides
	Volume Volume // unless Memory

	Refused bool // with an error: the root file system is there, no later device helps
}

// DecideRoot chooses the root file system among the volumes. usrDisk is the
// name of the disk that /usr is on, whose partition 9 is made into ROOT when
// nothing else is ROOT or is going to be. Data are never overwritten: what is
// not recognised counts as blank only on a first boot, when a file system may
// be half made.
func DecideRoot(o Options, volumes []Volume, usrDisk string, firstBoot bool) (RootPlan, error) {
	if o.RootType == "tmpfs" || o.Root == "tmpfs" {
		return RootPlan{Memory: true}, nil
	}
	if v, ok := pick(volumes, o.Root, usrDisk); ok {
		return planFor(o, v)
	}
	encrypted := slices.IndexFunc(volumes, func(v Volume) bool { return v.rootEncrypted() && !v.Used })
	if encrypted >= 0 {
		return RootPlan{Open: true, Volume: volumes[encrypted]}, nil
	}
	elsewhere := slices.ContainsFunc(volumes, func(v Volume) bool { return v.rootEncrypted() || v.rootMember() })
	var seen []string
	for _, v := range volumes {
		ours := v.Device.Disk == usrDisk && v.Device.Partition == layout.Root
		if ours && !elsewhere && (o.Root == DefaultRoot || names(o.Root, v)) && (v.Blank || firstBoot && v.Info.Type == "") {
			return RootPlan{Create: true, Volume: v}, nil
		}
		seen = append(seen, v.describe())
	}
	if len(seen) == 0 {
		seen = []string{"no block devices"}
	}
	return RootPlan{}, fmt.Errorf("no root file system %s among %s", o.Root, strings.Join(seen, ", "))
}

// planFor is what to do with the volume that is ROOT.
func planFor(o Options, v Volume) (RootPlan, error) {
	switch v.Info.Type {
	case "crypto_LUKS":
		return RootPlan{Open: true, Volume: v}, nil
	case "LVM2_member":
		return RootPlan{Refused: true}, fmt.Errorf("the root file system %s is an LVM volume, which this version cannot open: %s", o.Root, v.describe())
	}
	return RootPlan{Volume: v}, nil
}

// pick finds the volume that a root= word means; of several, one on the disk
// of /usr.
func pick(volumes []Volume, root, usrDisk string) (Volume, bool) {
	var found Volume
	ok := false
	for _, v := range volumes {
		if v.Info.Type != "" && v.Info.Usage != probe.RAID && !v.Used && names(root, v) && (!ok || v.Device.Disk == usrDisk && found.Device.Disk != usrDisk) {
			found, ok = v, true
		}
	}
	return found, ok
}

func names(root string, v Volume) bool {
	kind, value, _ := strings.Cut(root, "=")
	switch kind {
	case "LABEL":
		return v.Info.Label == value
	case "UUID":
		return strings.EqualFold(v.Info.UUID, value)
	case "PARTLABEL":
		return v.Device.PartName == value
	case "PARTUUID":
		return strings.EqualFold(v.Device.PartUUID, value)
	}
	by, value, _ := cutLast(root, "/")
	switch by {
	case "/dev/disk/by-label":
		return v.Info.Label == value
	case "/dev/disk/by-uuid":
		return strings.EqualFold(v.Info.UUID, value)
	case "/dev/disk/by-partlabel":
		return v.Device.PartName == value
	case "/dev/disk/by-partuuid":
		return strings.EqualFold(v.Device.PartUUID, value)
	}
	return root == v.Device.Path
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// RootLabel is the label given to a new root file system.
const RootLabel = "ROOT"

// makeRoot is the command that makes a root file system. Inode tables and the
// journal are zeroed later by the kernel, and the device is not discarded: it
// is blank.
func makeRoot(device string) []string {
	return []string{"/usr/sbin/mkfs.ext4", "-q", "-F", "-L", RootLabel, "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", device}
}

const (
	ext4Superblock = 1024 // bytes into the device
	ext4StateAt    = 0x3a // le16 in the superblock
	ext4Valid      = 1
	ext4Errors     = 2
	ext4Has64Bit   = 0x80
)

// ext4Size is the size in bytes that an ext4 fills of its device. head is the
// start of the device (2 KiB).
func ext4Size(head []byte) int64 {
	sb := head[ext4Superblock:]
	blocks := uint64(binary.LittleEndian.Uint32(sb[0x4:]))
	if binary.LittleEndian.Uint32(sb[0x60:])&ext4Has64Bit != 0 {
		blocks |= uint64(binary.LittleEndian.Uint32(sb[0x150:])) << 32
	}
	return int64(blocks << (10 + binary.LittleEndian.Uint32(sb[0x18:])&0xf))
}

// needsCheck says whether an ext4 is marked as one with errors; an unclean
// shutdown is no such mark, the journal repairs that at mount. head is the
// start of the device (2 KiB). https://docs.kernel.org/filesystems/ext4/super.html
func needsCheck(head []byte) bool {
	state := head[ext4Superblock+ext4StateAt]
	return state&ext4Valid == 0 || state&ext4Errors != 0
}
