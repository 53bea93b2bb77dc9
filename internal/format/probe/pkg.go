// Package probe tells what a block device or image holds by its superblocks,
// with the type names that blkid(8) prints.
//
// Signatures and offsets are those of the formats' own descriptions: Linux
// documentation "filesystems/ext4/super", "XFS Algorithms and Data Structures"
// 13, btrfs "On-disk format", erofs "On-disk details", squashfs 4.0, LUKS1 and
// LUKS2 specifications, md(4) superblocks 0.90 and 1.x, LVM2 metadata header,
// cryptsetup's verity superblock, ECMA-119 8.4, and packages fat and gpt here.
//
// Where several are present the order is blkid's: RAID members first, then
// encryption and volume managers, file systems, and partition tables last.
package probe

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What a thing is for.
const (
	Filesystem = "filesystem"
	RAID       = "raid"   // a member of something bigger
	Crypto     = "crypto" // to be opened first
	Other      = "other"  // swap
	Table      = "table"  // a partition table
)

// Info is what was found. The zero Info means that nothing known is there.
type Info struct {
	Type  string // "ext4", "xfs", "btrfs", "vfat", "erofs", "squashfs", "swap", "iso9660", "udf", "crypto_LUKS", "linux_raid_member", "LVM2_member", "DM_verity_hash", "gpt", "dos"
	Label string
	UUID  string // in the type's own form
	Usage string // one of the constants above
}

// detectors in the order in which they are asked.
var detectors = []func(*device) (Info, bool){
	mdraid1, mdraid09, luks, lvm2, verity,
	vfat, swap, xfs, ext, udf, iso9660, squashfs, btrfs, erofs,
	gptTable, dosTable,
}

// Identify looks at a device of size bytes. What a device is too short to
// hold is not found; only a failing read is an error.
func Identify(r io.ReaderAt, size int64) (Info, error) {
	d := &device{r: r, size: size}
	for _, detect := range detectors {
		info, found := detect(d)
		if d.err != nil {
			return Info{}, fmt.Errorf("identifying a file system: %w", d.err)
		}
		if found {
			return info, nil
		}
	}
	return Info{}, nil
}

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// device reads with a memory for the first error.
type device struct {
	r    io.ReaderAt
	size int64
	err  error
}

// read returns n bytes, or nil if the device does not have them all.
func (d *device) read(off int64, n int) []byte {
	if d.err != nil || off < 0 || off+int64(n) > d.size {
		return nil
	}
	buf := make([]byte, n)
	if got, err := d.r.ReadAt(buf, off); got < n {
		if !errors.Is(err, io.EOF) {
			d.err = fmt.Errorf("reading %d bytes at %d: %w", n, off, err)
		}
		return nil
	}
	return buf
}

// ReadAt is for other packages' readers: it too remembers a failure.
func (d *device) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.r.ReadAt(p, off)
	if n < len(p) && !errors.Is(err, io.EOF) && d.err == nil {
		d.err = fmt.Errorf("reading %d bytes at %d: %w", len(p), off, err)
	}
	return n, err
}

// text is a string that ends at the first NUL.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.ToValidUTF8(s, "\uFFFD")
}

// uuid formats 16 bytes; all zeros are "".
func uuid(b []byte) string {
	if [16]byte(b) == ([16]byte{}) {
		return ""
	}
	h := hex.EncodeToString(b[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
