package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/derived"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
)

// buildTime is the modification time of every file in every image: one
// constant keeps unchanged inodes equal between releases. 2025-01-01.
const buildTime = 1735689600

// usrSalt goes into every verity tree. A salt of a public image hides
// nothing, so it is fixed.
var usrSalt = sha256.Sum256([]byte("wellcar usr verity salt"))

// usrUUID is the id of every /usr file system.
var usrUUID = layout.DerivedGUID("wellcar usr file system", nil)

// Attributes of partitions: UEFI 5.3.3 (legacy boot), and the slot state in
// the bits of its type (priority 48..51, tries 52..55, successful 56).
const (
	attrLegacyBoot = 1 << 2
	attrFirstSlot  = 1<<48 | 1<<56
)

const espBootloader = "usr/" + layout.SystemdBoot

// placed is a partition of the image with its place, in bytes.
type placed struct {
	layout.Partition
	offset int64
}

// place lays the partitions out one after the other and returns the size of
// the disk, bytes.
func place() ([]placed, int64) {
	var out []placed
	at := int64(layout.Align)
	for _, p := range layout.Partitions() {
		out = append(out, placed{p, at})
		at += (p.Size + layout.Align - 1) / layout.Align * layout.Align
	}
	return out, at + layout.Align
}

func partition(number int) placed {
	all, _ := place()
	for _, p := range all {
		if p.Number == number {
			return p
		}
	}
	panic(fmt.Sprintf("BUG: no partition %d in the layout", number))
}

// boundedDisk is a partition of the disk file as a file of its own, which
// stops when the build is cancelled.
type boundedDisk struct {
	ctx context.Context
	f   Disk
	end int64 // bytes, in f
}

func (d boundedDisk) ReadAt(p []byte, off int64) (int, error) { return d.f.ReadAt(p, off) }

var errFull = errors.New("the partition is full")

func (d boundedDisk) WriteAt(p []byte, off int64) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	if off+int64(len(p)) > d.end {
		return 0, errFull
	}
	return d.f.WriteAt(p, off)
}

// writeUsr writes the /usr file system and its verity tree into USR-A.
func (b *builder) writeUsr(ctx context.Context, disk Disk) (Usr, error) {
	slot := partition(layout.UsrA)
	usr, err := b.Formats.Usr(boundedDisk{ctx, disk, slot.offset + slot.Size}, slot.offset, b.tree.Sub("usr"), UsrOptions{
		UUID: usrUUID, BuildTime: buildTime, Salt: usrSalt, TreeUUID: layout.VerityUUID, Parallel: b.Parallel,
	})
	if err != nil {
		return Usr{}, fmt.Errorf("writing the /usr image: %w", err)
	}
	return usr, nil
}

func (b *builder) makeUKI(rootHash [32]byte, initrd []byte) ([]byte, error) {
	stub, err := b.merged.stub.Bytes()
	if err != nil {
		return nil, fmt.Errorf("making the unified kernel image: %w", err)
	}
	kernel, err := b.merged.kernel.image.Bytes()
	if err != nil {
		return nil, fmt.Errorf("making the unified kernel image: %w", err)
	}
	uki, err := b.Formats.UKI(UKIParts{Stub: stub, OSRelease: b.identity().OSRelease(), Initrd: initrd, Kernel: kernel,
		Cmdline: b.cmdline(rootHash), Uname: b.merged.kernel.version})
	if err != nil {
		return nil, fmt.Errorf("making the unified kernel image: %w", err)
	}
	return uki, nil
}

func (b *builder) cmdline(rootHash [32]byte) string {
	return b.Recipe.Cmdline + " verity.usrhash=" + hex.EncodeToString(rootHash[:])
}

// writeDisk writes everything but USR-A.
func (b *builder) writeDisk(ctx context.Context, disk Disk, usr Usr, uki []byte, oem derived.Files) error {
	esp := partition(layout.ESP)
	tree, err := b.espTree(uki)
	if err != nil {
		return err
	}
	serial := layout.DerivedGUID("EFI system partition serial", usr.RootHash[:])
	w := boundedDisk{ctx, disk, esp.offset + esp.Size}
	if err := b.Formats.FAT(io.NewOffsetWriter(w, esp.offset), esp.Size, esp.Label,
		uint32(serial[0])<<24|uint32(serial[1])<<16|uint32(serial[2])<<8|uint32(serial[3]), tree); err != nil {
		return fmt.Errorf("writing the EFI system partition: %w", err)
	}
	if err := writeExtents(disk, partition(layout.OEM).offset, oem); err != nil {
		return fmt.Errorf("writing the OEM partition: %w", err)
	}
	if err := b.writeGRUB(disk); err != nil {
		return fmt.Errorf("writing the boot loader for a BIOS: %w", err)
	}
	if err := b.Formats.GPT(disk, table(usr.RootHash)); err != nil {
		return fmt.Errorf("writing the partition table: %w", err)
	}
	return nil
}

// table is the partition table; ids that are not fixed derive from the root hash.
func table(rootHash [32]byte) Table {
	parts, size := place()
	t := Table{DiskGUID: layout.ImageDiskGUID, Sectors: uint64(size / layout.SectorSize)}
	for _, p := range parts {
		e := TableEntry{Number: p.Number, Name: p.Label, Type: p.Type, GUID: p.GUID,
			First: uint64(p.offset / layout.SectorSize), Last: uint64((p.offset+p.Size)/layout.SectorSize) - 1}
		if e.GUID == "" {
			e.GUID = layout.FormatUUID(layout.DerivedGUID("partition "+p.Label, rootHash[:]))
		}
		switch p.Number {
		case layout.ESP:
			e.Attributes = attrLegacyBoot
		case layout.UsrA:
			e.Attributes = attrFirstSlot
		}
		t.Entries = append(t.Entries, e)
	}
	return t
}

func (b *builder) espTree(uki []byte) (*fstree.Tree, error) {
	loader := b.tree.Get(espBootloader)
	if loader == nil {
		return nil, fmt.Errorf("making the EFI system partition: no package brings %s", espBootloader)
	}
	files := map[string]fstree.Blob{
		layout.DefaultLoader:     loader.Blob,
		b.ukiPath():              fstree.BytesBlob(uki),
		"loader/loader.conf":     fstree.BytesBlob([]byte("timeout 0\n")),
		layout.FirstBootFlags[0]: fstree.BytesBlob(nil),
	}
	more, err := b.grubFiles(uki)
	if err != nil {
		return nil, fmt.Errorf("making the EFI system partition: %w", err)
	}
	for name, data := range more {
		files[name] = fstree.BytesBlob(data)
	}
	if b.ownWords() != "" {
		addOn, err := b.addOn()
		if err != nil {
			return nil, err
		}
		files[layout.KernelAddOn] = fstree.BytesBlob(addOn)
	}
	tree := fstree.New()
	for _, name := range sortedKeys(files) {
		if err := tree.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: files[name]}); err != nil {
			return nil, fmt.Errorf("making the EFI system partition: %w", err)
		}
	}
	return tree, nil
}

// ukiPath is that of a new image's kernel, which has its starts before it.
func (b *builder) ukiPath() string { return layout.UKIPath(b.Recipe.Version, slot.Tries) }
