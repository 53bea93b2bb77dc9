//go:build linux

package takeover

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/sys/efivar"
)

// old is a machine made of files, right after update_engine wrote the payload.
type old struct {
	*testing.T
	Machine
	boot  string
	image []byte // of /usr with its tree, as it has to come out
	// Where a BIOS starts the machine:
	kernel, oldCore []byte
}

func put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// bytesAt is a file in memory.
type bytesAt struct{ b []byte }

func (s *bytesAt) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.b).ReadAt(p, off)
}

func (s *bytesAt) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(s.b) {
		s.b = append(s.b, make([]byte, need-len(s.b))...)
	}
	return copy(s.b[off:], p), nil
}

func newOld(t *testing.T) *old {
	root := t.TempDir()
	o := &old{T: t, boot: filepath.Join(root, "boot")}
	const blocks = 64
	image := &bytesAt{bytes.Repeat([]byte("usr"), blocks*verity.BlockSize)[:blocks*verity.BlockSize]}
	v, err := verity.Append(image, 0, int64(len(image.b)), verity.Params{Salt: make([]byte, 32), UUID: layout.VerityUUID})
	if err != nil {
		t.Fatal(err)
	}
	o.image = bytes.Clone(image.b)
	displaced := []uint32{0, 1, 7}
	var blocksFile []byte
	for _, n := range displaced {
		at := image.b[n*verity.BlockSize : (n+1)*verity.BlockSize]
		blocksFile = append(blocksFile, at...)
		clear(at)
	}
	kernel, loader := []byte("UKI"), []byte("LOADER")
	kernelSum, loaderSum := sha256.Sum256(kernel), sha256.Sum256(loader)
	record, err := json.Marshal(release.Takeover{Version: "1.2.3", RootHash: hex.EncodeToString(v.RootHash[:]), UsrSize: blocks * verity.BlockSize, TreeSize: v.Size,
		UKISize: int64(len(kernel)), UKIHash: hex.EncodeToString(kernelSum[:]), LoaderHash: hex.EncodeToString(loaderSum[:]), Displaced: displaced})
	if err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(root, "files")
	for name, data := range map[string][]byte{release.TakeoverRecord: record, release.TakeoverBlocks: blocksFile, release.TakeoverLoader: loader} {
		put(t, filepath.Join(files, name), data)
	}
	put(t, filepath.Join(o.boot, "EFI/boot/bootx64.efi"), []byte("SHIM"))
	put(t, filepath.Join(o.boot, "EFI/boot/grubx64.efi"), []byte("GRUB"))
	put(t, filepath.Join(o.boot, "flatcar/vmlinuz-a"), []byte("OLD"))
	put(t, filepath.Join(o.boot, "flatcar/vmlinuz-b"), kernel)
	vars := filepath.Join(root, "sys/firmware/efi/efivars")
	if err := os.MkdirAll(vars, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(root, "dev/vda4"), image.b)
	o.disk(root)
	put(t, filepath.Join(root, "proc/self/mountinfo"), fmt.Appendf(nil, "1 0 254:9 / / rw - ext4 /dev/vda9 rw\n2 1 254:1 / %s rw - vfat /dev/vda1 rw\n", o.boot))
	o.Machine = Machine{Root: root, Device: "/dev/vda4", Kernel: filepath.Join(o.boot, "flatcar/vmlinuz-b"), Files: files, Vars: efivar.Vars{Dir: vars},
		Free: func(string) (int64, error) { return 2 << 20, nil }, Logf: t.Logf}
	return o
}

// disk writes the disk's table, in which both slots are good, and what sysfs
// says of it.
func (o *old) disk(root string) {
	const sectors = 100_000
	table := gpt.Table{DiskGUID: gpt.MustGUID(layout.ImageDiskGUID), SectorSize: 512, Sectors: sectors}
	block := filepath.Join(root, "sys/class/block")
	put(o.T, filepath.Join(root, "sys/devices/vda/queue/logical_block_size"), []byte("512\n"))
	link := func(name, to string) {
		if err := os.MkdirAll(block, 0o755); err != nil {
			o.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, "sys/devices", to), filepath.Join(block, name)); err != nil {
			o.Fatal(err)
		}
	}
	about := func(dir, uevent string, size uint64) {
		put(o.T, filepath.Join(dir, "uevent"), []byte(uevent))
		put(o.T, filepath.Join(dir, "size"), fmt.Appendln(nil, size))
		put(o.T, filepath.Join(dir, "ro"), []byte("0\n"))
	}
	about(filepath.Join(root, "sys/devices/vda"), "MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\n", sectors)
	link("vda", "vda")
	for i, p := range []layout.Partition{{Number: 1, Label: "EFI-SYSTEM", Type: layout.TypeESP}, {Number: 2, Label: "BIOS-BOOT", Type: layout.TypeBIOSBoot}, {Number: 3, Label: "USR-A", Type: layout.TypeUsr}, {Number: 4, Label: "USR-B", Type: layout.TypeUsr}} {
		first := uint64(4096 * (i + 1))
		table.Partitions = append(table.Partitions, gpt.Partition{Number: p.Number, Type: gpt.MustGUID(p.Type), GUID: gpt.MustGUID(fmt.Sprintf("11111111-1111-1111-1111-11111111110%d", i)),
			Name: p.Label, First: first, Last: first + 4095, Attributes: gpt.WithSlot(0, gpt.SlotState{Priority: 1, Successful: true})})
		name := fmt.Sprintf("vda%d", p.Number)
		dir := filepath.Join(root, "sys/devices/vda", name)
		about(dir, fmt.Sprintf("MAJOR=254\nMINOR=%d\nDEVNAME=%s\nDEVTYPE=partition\nPARTN=%d\nPARTNAME=%s\n", p.Number, name, p.Number, p.Label), 4096)
		put(o.T, filepath.Join(dir, "start"), fmt.Appendln(nil, first))
		link(name, "vda/"+name)
	}
	f, err := os.Create(filepath.Join(root, "dev/vda"))
	if err != nil {
		o.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(sectors * 512); err != nil {
		o.Fatal(err)
	}
	if err := table.Write(f); err != nil {
		o.Fatal(err)
	}
}

func (o *old) has(name, want string) {
	o.Helper()
	if got, err := os.ReadFile(filepath.Join(o.boot, name)); err != nil || string(got) != want {
		o.Errorf("%s is %q, %v; want %q", name, got, err, want)
	}
}

func (o *old) lacks(name string) {
	o.Helper()
	if exists(filepath.Join(o.boot, name)) {
		o.Errorf("%s is there", name)
	}
}

// TestWholeWay follows a machine from the old system to the next update of the
// new one.
func TestWholeWay(t *testing.T) {
	o := newOld(t)
	if err := Convert(o.Machine); err != nil {
		t.Fatal(err)
	}
	slot, err := os.ReadFile(filepath.Join(o.Root, "dev/vda4"))
	if err != nil || !bytes.HasPrefix(slot, o.image) {
		t.Errorf("/usr is not whole: %v", err)
	}
	next, ok, err := o.Vars.Get("BootNext")
	if !ok || err != nil || string(next) != "\x00\x00" {
		t.Errorf("BootNext %x, %v", next, err)
	}
	o.leadsTo(next)
	o.has("EFI/boot/bootx64.efi", "SHIM")
	o.has("EFI/Linux/wellcar-1.2.3+3.efi", "UKI")
	o.has("EFI/wellcar/systemd-bootx64.efi", "LOADER")
	f, err := o.slots()
	if err != nil || f[4] != (gpt.SlotState{}) || !f[3].Successful {
		t.Errorf("the slots are %+v, %v", f, err)
	}
	b := Boot{Dir: o.boot, Vars: o.Vars}
	if !b.OnTrial() || b.ChooseOld(true) == nil {
		t.Error("the new system is not on trial")
	}
	for range 2 { // the second does nothing
		if err := b.Keep(); err != nil {
			t.Fatal(err)
		}
		o.has("EFI/boot/bootx64.efi", "LOADER")
		o.has("EFI/wellcar/before/bootx64.efi", "SHIM")
		o.has("EFI/wellcar/before/grubx64.efi", "GRUB")
		o.has(entryFile, oldEntry)
	}
	if _, ok, _ := o.Vars.Get("Boot0000"); ok || b.OnTrial() || !b.OldSystem() {
		t.Error("the entry in the firmware is still there, or the old system is not")
	}
	for _, old := range []bool{true, false, true} {
		if err := b.ChooseOld(old); err != nil || b.OldFirst() != old {
			t.Errorf("choosing the old system, %v: it comes first: %v, %v", old, b.OldFirst(), err)
		}
	}
	o.has(confFile, "timeout 0\ndefault flatcar.conf\n")
	if room := b.Room(); room < int64(len("SHIM")+len("GRUB")+len("OLD")) {
		t.Errorf("%d bytes would be free", room)
	}
	if err := b.Retire(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{entryFile, before, stateFile, "flatcar/vmlinuz-a"} {
		o.lacks(name)
	}
	if b.OldFirst() || b.OldSystem() || b.Room() != 0 || b.Keep() != nil {
		t.Error("the old system is still there")
	}
}

// TestMoveAgain moves a machine to a later release after a person took it back to
// the old system.
func TestMoveAgain(t *testing.T) {
	o := newOld(t)
	o.kernel = []byte("UKI")
	b := Boot{Dir: o.boot, Vars: o.Vars}
	for _, loader := range []string{"LOADER", "LATER LOADER"} {
		o.loader(loader)
		o.payload()
		if err := Convert(o.Machine); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := o.Vars.Get("BootNext"); !ok || err != nil || b.namesOld() || !b.OnTrial() {
			t.Errorf("%s: the new system is not on trial: BootNext %v, %v", loader, ok, err)
		}
		if err := b.Keep(); err != nil {
			t.Fatal(err)
		}
		o.has("EFI/boot/bootx64.efi", loader)
		o.has("EFI/wellcar/before/bootx64.efi", "SHIM")
		if err := b.ChooseOld(true); err != nil {
			t.Fatal(err)
		}
		o.has(confFile, "timeout 0\ndefault flatcar.conf\n")
	}
}

// loader puts another one into the payload.
func (o *old) loader(text string) {
	o.Helper()
	sum := sha256.Sum256([]byte(text))
	o.edit(func(r *release.Takeover) { r.LoaderHash = hex.EncodeToString(sum[:]) })
	put(o.T, filepath.Join(o.Files, release.TakeoverLoader), []byte(text))
}

// edit changes the record in the payload.
func (o *old) edit(change func(*release.Takeover)) {
	o.Helper()
	name := filepath.Join(o.Files, release.TakeoverRecord)
	data, err := os.ReadFile(name)
	var record release.Takeover
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	change(&record)
	if err == nil {
		data, err = json.Marshal(record)
	}
	if err != nil {
		o.Fatal(err)
	}
	put(o.T, name, data)
}

// leadsTo looks for the partition of the loader in an entry of the firmware, in
// the bytes of the table.
func (o *old) leadsTo(next []byte) {
	o.Helper()
	entry, ok, err := o.Vars.Get(fmt.Sprintf("Boot%04X", binary.LittleEndian.Uint16(next)))
	if !ok || err != nil {
		o.Fatal("no entry", err)
	}
	table, err := os.ReadFile(filepath.Join(o.Root, "dev/vda"))
	if err != nil {
		o.Fatal(err)
	}
	at := bytes.Index(entry, []byte{4, 1, 42, 0}) // the node of a hard drive (UEFI 2.10, 10.3.5.1)
	if guid := entry[at+24 : at+40]; at < 0 || !bytes.Equal(guid, table[1024+16:1024+32]) {
		o.Errorf("the entry leads to the partition %x, the table has %x", guid, table[1024+16:1024+32])
	}
}

// slots reads the state of the slots out of the table.
func (o *old) slots() (map[int]gpt.SlotState, error) {
	f := found{}
	f.slot.Disk, f.slot.SectorSize = "vda", 512
	t, err := f.table(o.Root)
	out := map[int]gpt.SlotState{}
	for _, p := range t.Partitions {
		out[p.Number] = gpt.Slot(p.Attributes)
	}
	return out, err
}

// TestKeepAfterCut goes on from a loader that took its place before the state
// was written, without setting our own loader aside.
func TestKeepAfterCut(t *testing.T) {
	o := newOld(t)
	if err := Convert(o.Machine); err != nil {
		t.Fatal(err)
	}
	b := Boot{Dir: o.boot, Vars: o.Vars}
	if err := b.keep(false); err != nil {
		t.Fatal(err)
	}
	if err := b.Keep(); err != nil {
		t.Fatal(err)
	}
	o.has("EFI/wellcar/before/bootx64.efi", "SHIM")
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *old)
		want   string
	}{
		"no GRUB":      {func(o *old) { os.RemoveAll(filepath.Join(o.Root, "sys/firmware")) }, "started by BIOS, and GRUB has no place: the payload lacks it"},
		"Secure Boot":  {func(o *old) { o.Vars.Set("SecureBoot", []byte{1}) }, "Secure Boot is on"},
		"full":         {func(o *old) { o.Free = func(string) (int64, error) { return 1 << 20, nil } }, "EFI system partition needs"},
		"other kernel": {func(o *old) { put(o.T, o.Kernel, []byte("OLD")) }, "not the one that belongs to 1.2.3"},
		"other slot":   {func(o *old) { o.Device = "/dev/vda1" }, "not USR-A (3) or USR-B (4)"},
		"other root":   {func(o *old) { put(o.T, filepath.Join(o.Root, "proc/self/mountinfo"), nil) }, "root file system is nothing known"},
		"damaged block": {func(o *old) {
			put(o.T, filepath.Join(o.Files, release.TakeoverBlocks), make([]byte, 3*verity.BlockSize))
		}, "verifying /usr"},
		"no record": {func(o *old) { put(o.T, filepath.Join(o.Files, release.TakeoverRecord), []byte("{}")) }, "a value is not possible"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOld(t)
			c.change(o)
			if err := Convert(o.Machine); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, ok, _ := o.Vars.Get("BootNext"); ok {
				t.Error("the next start is another")
			}
			o.has("EFI/boot/bootx64.efi", "SHIM")
			o.lacks("EFI/Linux")
		})
	}
}
