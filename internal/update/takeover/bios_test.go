//go:build linux

package takeover

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/format/pe/petest"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/update/loader"
)

const (
	bootSector = 8192    // first of the BIOS boot partition
	bootSize   = 2 << 20 // of it, bytes
)

// grubParts makes a boot.img and a core.img of a number of sectors.
func grubParts(letter byte, sectors int) (boot, core []byte) {
	boot, core = bytes.Repeat([]byte{letter}, 512), bytes.Repeat([]byte{letter}, sectors*512)
	boot[0x64], boot[510], boot[511] = 0xff, 0x55, 0xaa
	clear(core[488:512])
	binary.LittleEndian.PutUint16(core[508:], uint16(sectors-1))
	binary.LittleEndian.PutUint16(core[510:], 0x820)
	return boot, core
}

// newBIOS is a machine that a BIOS started, by a GRUB of the old system.
func newBIOS(t *testing.T) *old {
	o := newOld(t)
	if err := os.RemoveAll(filepath.Join(o.Root, "sys/firmware")); err != nil {
		t.Fatal(err)
	}
	o.oldGRUB(300)
	boot, core := grubParts('N', 400)
	for name, data := range map[string][]byte{"boot.img": boot, "core.img": core, "grub.cfg": []byte("menu")} {
		put(t, filepath.Join(o.Files, name), data)
	}
	kernel, err := pe.Build(petest.Stub(), pe.UKI{Cmdline: "quiet", Initrd: []byte("initrd"), Kernel: []byte("kernel")}.Sections())
	if err != nil {
		t.Fatal(err)
	}
	o.kernel = kernel
	sum := sha256.Sum256(kernel)
	o.edit(func(r *release.Takeover) { r.UKISize, r.UKIHash = int64(len(kernel)), hex.EncodeToString(sum[:]) })
	o.payload()
	return o
}

// payload does what update_engine does before it runs the program.
func (o *old) payload() {
	put(o.T, o.Kernel, o.kernel)
	image := bytes.Clone(o.image)
	clear(image[:4096])
	put(o.T, filepath.Join(o.Root, "dev/vda4"), image)
}

// oldGRUB installs the old system's, with a core image of a number of sectors.
func (o *old) oldGRUB(sectors int) {
	o.Helper()
	boot, image := grubParts('O', sectors)
	code, err := grub.BootCode(boot, bootSector)
	if err != nil {
		o.Fatal(err)
	}
	core, err := grub.Core(image, bootSector)
	if err != nil {
		o.Fatal(err)
	}
	o.oldCore = core
	put(o.T, filepath.Join(o.Root, "dev/vda2"), append(bytes.Clone(core), make([]byte, bootSize-len(core))...))
	if err := blockdev.WriteBack(filepath.Join(o.Root, "dev/vda"), code, 0); err != nil {
		o.Fatal(err)
	}
}

// starts does what a BIOS and then GRUB do, and says what comes of it.
func (o *old) starts() string {
	o.Helper()
	if what := o.core(o.sector()); what != "new" {
		return what
	}
	b := Boot{Dir: o.boot}
	before, _ := os.ReadFile(filepath.Join(o.boot, beforeSector))
	block, err := os.ReadFile(filepath.Join(o.boot, layout.GrubEnv))
	if err != nil {
		return "nothing"
	}
	menu, err := grub.ParseEnv(block)
	if err != nil || !slot.Whole(menu) {
		return "nothing"
	}
	spent := strings.Trim(menu["tries_1"], "-") == "" && menu["tries_1"] != ""
	if (spent || exists(filepath.Join(b.Dir, beforeFirst))) && before != nil {
		return o.core(before)
	}
	if kernels, _ := filepath.Glob(filepath.Join(o.boot, slot.Dir, "wellcar-"+menu["version_1"]+"*.efi")); len(kernels) == 0 {
		return o.core(before)
	}
	o.has(layout.GrubConfig, "menu")
	return "new"
}

func (o *old) sector() []byte {
	o.Helper()
	sector, err := (loader.Machine{Root: o.Root, Disk: "/dev/vda"}).Sector()
	if err != nil {
		o.Fatal(err)
	}
	return sector
}

// core is whose core image a sector 0 starts, if it is whole.
func (o *old) core(sector []byte) string {
	o.Helper()
	space, err := os.ReadFile(filepath.Join(o.Root, "dev/vda2"))
	if err != nil {
		o.Fatal(err)
	}
	if !bytes.HasPrefix(space, o.oldCore) {
		o.Error("the old core image was changed")
	}
	switch at := grub.CoreAt(sector); at {
	case bootSector:
		return "old"
	case bootSector + bootSize/2/512:
		_, image := grubParts('N', 400)
		if core, err := grub.Core(image, at); err == nil && bytes.HasPrefix(space[bootSize/2:], core) {
			return "new"
		}
	}
	return "nothing"
}

// count does what GRUB does before it starts a kernel on trial.
func (o *old) count() {
	o.Helper()
	name := filepath.Join(o.boot, layout.GrubEnv)
	block, err := os.ReadFile(name)
	if err != nil || !bytes.Contains(block, []byte("tries_1=I\n")) {
		o.Fatalf("%v; the kernel on trial has not one start: %.300s", err, block)
	}
	put(o.T, name, bytes.Replace(block, []byte("tries_1=I\n"), []byte("tries_1=-\n"), 1))
}

func (o *old) is(want string) {
	o.Helper()
	if got := o.starts(); got != want {
		o.Errorf("a BIOS starts %s, want %s", got, want)
	}
}

// TestWholeWayBIOS follows a machine from the old system to the next update of
// the new one.
func TestWholeWayBIOS(t *testing.T) {
	o := newBIOS(t)
	table := o.sector()
	o.is("old")
	if err := Convert(o.Machine); err != nil {
		t.Fatal(err)
	}
	o.is("new")
	o.has("EFI/Linux/wellcar-1.2.3+1.efi", string(o.kernel))
	o.has("EFI/boot/bootx64.efi", "SHIM")
	if !bytes.Equal(o.sector()[grub.CodeSize:], table[grub.CodeSize:]) {
		t.Error("more than the boot code of sector 0 was changed")
	}
	o.has(beforeSector, string(table))
	if f, err := o.slots(); err != nil || f[4].Priority != 0 || !f[3].Successful {
		t.Errorf("the slots are %+v, %v", f, err)
	}
	o.count()
	o.is("old")
	b := Boot{Dir: o.boot}
	if !b.OnTrial() || b.ChooseOld(true) == nil {
		t.Error("the new system is not on trial")
	}
	for range 2 {
		if err := b.Keep(); err != nil || b.OnTrial() || !b.OldSystem() {
			t.Error("the new system is not kept", err)
		}
	}
	o.has("EFI/boot/bootx64.efi", "SHIM")
	o.good()
	o.is("new")
	for _, c := range []struct {
		old  bool
		want string
	}{{true, "old"}, {true, "old"}, {false, "new"}, {false, "new"}, {true, "old"}} {
		if err := b.ChooseOld(c.old); err != nil || b.OldFirst() != c.old {
			t.Errorf("choosing the old system, %v: it comes first: %v, %v", c.old, b.OldFirst(), err)
		}
		o.is(c.want)
	}
	if b.Room() < 512 {
		t.Error("nothing would be free")
	}
	if err := b.Retire(); err != nil {
		t.Fatal(err)
	}
	o.is("new")
	for _, name := range []string{beforeSector, beforeFirst, stateFile, "flatcar/vmlinuz-a"} {
		o.lacks(name)
	}
}

// good makes the menu that of a version without a counter.
func (o *old) good() {
	o.Helper()
	n := slot.Name{Version: "1.2.3"}
	e, err := slot.ReadEntry(n, bytes.NewReader(o.kernel))
	if err != nil {
		o.Fatal(err)
	}
	block, err := grub.Env(slot.Menu([]slot.Entry{e}, ""), layout.GrubEnvSize)
	if err != nil {
		o.Fatal(err)
	}
	put(o.T, filepath.Join(o.boot, layout.GrubEnv), block)
}

// TestCutsBIOS ends the program behind each step, and within each write into
// the disk, on a first try and on one after a trial that failed: the old
// system starts, and another try works out.
func TestCutsBIOS(t *testing.T) {
	for _, again := range []bool{false, true} {
		for cut := range 8 {
			o := newBIOS(t)
			if again {
				if err := Convert(o.Machine); err != nil {
					t.Fatal(err)
				}
				o.count()
				put(t, filepath.Join(o.boot, beforeFirst), nil) // as if a person had chosen
				o.payload()
			}
			o.is("old")
			whole := o.cut(cut)
			if !whole {
				o.is("old")
			}
			o.payload()
			if err := Convert(o.Machine); err != nil {
				t.Errorf("again %v, cut %d: %v", again, cut, err)
			}
			o.is("new")
		}
	}
}

// cut converts up to a step, or, further on, up to a write, of which only
// every other sector comes onto the disk.
func (o *old) cut(n int) (whole bool) {
	o.Helper()
	c := &conversion{Machine: o.Machine}
	data, err := os.ReadFile(filepath.Join(o.Files, release.TakeoverRecord))
	if err == nil {
		c.record, err = release.ParseTakeover(data)
	}
	if err == nil {
		c.found, err = o.look()
	}
	if err != nil {
		o.Fatal(err)
	}
	steps := c.steps()
	if n < len(steps)-1 {
		for _, s := range steps[:n+1] {
			if err := s.do(); err != nil {
				o.Fatal(s.what, err)
			}
		}
		return false
	}
	writes := n - len(steps) + 2
	m := o.Machine
	m.Write = func(device string, data []byte, offset int64) error {
		if writes--; writes > 0 {
			return blockdev.WriteBack(device, data, offset)
		}
		torn := bytes.Clone(data)
		for at := 512; at < len(data); at += 1024 {
			clear(torn[at : at+512])
		}
		if err := blockdev.WriteBack(device, torn, offset); err != nil {
			return err
		}
		return errors.New("cut")
	}
	return Convert(m) == nil || o.starts() == "new" // sector 0 was written
}

func TestRefusedBIOS(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *old)
		want   string
	}{
		"a long core image": {func(o *old) { o.oldGRUB(2049) }, "more than half of the BIOS boot partition"},
		"no room":           {func(o *old) { _, core := grubParts('N', 2049); put(o.T, filepath.Join(o.Files, "core.img"), core) }, "there is room for 1048576"},
		"other boot code":   {func(o *old) { o.code(make([]byte, grub.CodeSize)) }, "sector 0 does not start what is at the beginning"},
		"no partition":      {func(o *old) { os.RemoveAll(filepath.Join(o.Root, "sys/class/block/vda2")) }, "no BIOS boot partition: install anew, or switch the machine to UEFI first"},
		"full":              {func(o *old) { o.Free = func(string) (int64, error) { return 1000, nil } }, "EFI system partition needs 1024 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newBIOS(t)
			c.change(o)
			before := o.sector()
			if err := Convert(o.Machine); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if !bytes.Equal(before, o.sector()) {
				t.Error("sector 0 was changed")
			}
			o.lacks("EFI/Linux")
			o.lacks("wellcar")
		})
	}
}

func (o *old) code(code []byte) {
	o.Helper()
	if err := blockdev.WriteBack(filepath.Join(o.Root, "dev/vda"), code, 0); err != nil {
		o.Fatal(err)
	}
}
