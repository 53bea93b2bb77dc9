//go:build linux

package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/format/pe/petest"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
)

const (
	firstSector = 4096
	space       = 64 << 10 // of the BIOS boot partition, bytes
)

var le = binary.LittleEndian

// release makes what a release has of GRUB: a core image of a size, and all of
// it filled with one letter.
func release(letter byte, sectors int) GRUB {
	p := GRUB{Boot: bytes.Repeat([]byte{letter}, 512), Core: bytes.Repeat([]byte{letter}, sectors*512-9), Config: bytes.Repeat([]byte{letter}, 3000+int(letter))}
	p.Boot[0x64], p.Boot[510], p.Boot[511] = 0xff, 0x55, 0xaa
	list := p.Core[500:512]
	le.PutUint64(list, 1)
	le.PutUint16(list[8:], uint16(sectors-1))
	le.PutUint16(list[10:], 0x820)
	clear(p.Core[488:500])
	return p
}

// box is a machine made of files.
type box struct {
	*testing.T
	Machine
	releases []GRUB
	log      []string
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

// newBox has the first release on its disk and the last one in /usr.
func newBox(t *testing.T, releases ...GRUB) *box {
	root := t.TempDir()
	b := &box{T: t, releases: releases, Machine: Machine{Root: root, ESP: filepath.Join(root, "boot"), Disk: "/dev/vda",
		BIOSBoot: blockdev.Device{Path: "/dev/vda2", Start: firstSector * 512, Size: space}}}
	b.Synced = func() { b.log = append(b.log, b.starts()) }
	disk := bytes.Repeat([]byte{0xdd}, 8192)
	core := make([]byte, space)
	at, err := releases[0].at(firstSector)
	if err != nil {
		t.Fatal(err)
	}
	copy(disk, at.code)
	copy(core, at.core)
	put(t, filepath.Join(root, "dev/vda"), disk)
	put(t, filepath.Join(root, "dev/vda2"), core)
	put(t, filepath.Join(b.ESP, layout.GrubConfig), releases[0].Config)
	b.run(releases[len(releases)-1])
	return b
}

// run makes a release the one in /usr.
func (b *box) run(p GRUB) {
	for name, data := range map[string][]byte{"boot.img": p.Boot, "core.img": p.Core, "grub.cfg": p.Config} {
		put(b.T, filepath.Join(b.Root, layout.GrubDir, name), data)
	}
}

func (b *box) read(name string) []byte {
	b.Helper()
	data, err := os.ReadFile(filepath.Join(b.Root, name))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// starts does what a BIOS does: it is the letters of the boot code, of the
// core image that it starts, and of the configuration, and the half.
func (b *box) starts() string {
	b.Helper()
	disk, core, config := b.read("dev/vda"), b.read("dev/vda2"), b.read("boot/"+layout.GrubConfig)
	if !bytes.Equal(disk[grub.CodeSize:], bytes.Repeat([]byte{0xdd}, len(disk)-grub.CodeSize)) {
		b.Error("something behind the boot code was changed")
	}
	at := grub.CoreAt(disk[:grub.CodeSize])
	offset := int(at-firstSector) * 512
	if at < firstSector || offset >= len(core) {
		b.Errorf("sector 0 starts sector %d", at)
		return ""
	}
	out := ""
	for _, p := range b.releases {
		f, err := p.at(at)
		if err != nil {
			b.Fatal(err)
		}
		if bytes.Equal(f.code, disk[:grub.CodeSize]) && bytes.HasPrefix(core[offset:], f.core) {
			out = string(p.Core[0])
		}
	}
	for _, p := range b.releases {
		if bytes.Equal(p.Config, config) {
			out += string(p.Config[0])
		}
	}
	if len(out) != 2 {
		b.Errorf("what starts is not whole: %q", out)
	}
	return fmt.Sprintf("%s%d", out, offset/(space/2))
}

func (b *box) renew(want string) {
	b.Helper()
	b.log = nil
	renewed, err := b.Renew()
	if got := fmt.Sprint(renewed, " ", strings.Join(b.log, " ")); got != want || err != nil {
		b.Errorf("%s, %v; want %s", got, err, want)
	}
}

// TestRenew follows a disk over releases: core image before boot code before
// configuration, each time into the other half.
func TestRenew(t *testing.T) {
	b := newBox(t, release('a', 20), release('b', 40))
	b.renew("[GRUB] aa0 ba1 bb1")
	put(t, filepath.Join(b.ESP, layout.GrubConfig+".new"), []byte("of a cut"))
	b.renew("[] ")
	if files, err := os.ReadDir(filepath.Join(b.ESP, "wellcar")); len(files) != 1 || err != nil {
		t.Errorf("beside the configuration: %v, %v", files, err)
	}
	b.releases = append(b.releases, release('c', 64))
	b.run(b.releases[2])
	b.renew("[GRUB] bb1 cb0 cc0")
	b.run(b.releases[0])
	b.renew("[GRUB] cc0 ac1 aa1")
	put(t, filepath.Join(b.ESP, layout.GrubConfig), b.releases[1].Config)
	b.renew("[GRUB] aa1")
}

// TestCuts lets the power go behind and within each write.
func TestCuts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		b := newBox(t, release('a', 20), release('b', 40))
		writes, last := 0, 1+n%2
		b.Write = func(device string, data []byte, offset int64) error {
			if writes++; writes < last {
				return blockdev.WriteBack(device, data, offset)
			}
			b.tear(device, data, offset, r)
			return errors.New("cut")
		}
		if _, err := b.Renew(); err == nil {
			t.Fatal("nothing was written")
		}
		b.starts()
		b.Write = nil
		if _, err := b.Renew(); err != nil {
			t.Fatal(err)
		}
		if got := b.starts(); got[:2] != "bb" {
			t.Errorf("in the end %s starts", got)
		}
	}
}

// tear writes some of the sectors.
func (b *box) tear(device string, data []byte, offset int64, r *rand.Rand) {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for at := 0; at < len(data); at += sectorSize {
		if end := min(at+sectorSize, len(data)); r.IntN(2) == 0 {
			if _, err := f.WriteAt(data[at:end], offset+int64(at)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestLostWrite has a disk that does not keep the core image: sector 0 goes on
// naming the old one.
func TestLostWrite(t *testing.T) {
	b := newBox(t, release('a', 20), release('b', 40))
	b.Write = func(string, []byte, int64) error { return errors.New("something else is read back") }
	if _, err := b.Renew(); err == nil || !strings.Contains(err.Error(), "something else is read back; the old one stays") {
		t.Errorf("%v", err)
	}
	if got := b.starts(); got != "aa0" {
		t.Error(got)
	}
}

func TestStays(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b *box)
		want   string
	}{
		"no room":         {func(b *box) { b.run(release('c', 65)) }, "it has 33280 bytes, and there is room for 32768; the old one stays"},
		"too long an old": {func(b *box) { b.old(release('b', 65)) }, "the core image that starts has 33280 bytes, more than half"},
		"other boot code": {func(b *box) { b.boot(bytes.Repeat([]byte{7}, grub.CodeSize)) }, "the boot code is of somebody else"},
		"no partition":    {func(b *box) { b.BIOSBoot = blockdev.Device{} }, "the disk has no BIOS boot partition"},
		"no core image":   {func(b *box) { b.run(GRUB{}) }, "it was not made for i386-pc"},
		"not for a BIOS":  {func(b *box) { os.RemoveAll(filepath.Join(b.ESP, "wellcar")) }, ""},
		"without GRUB":    {func(b *box) { os.RemoveAll(filepath.Join(b.Root, layout.GrubDir)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, release('a', 20), release('b', 40))
			c.change(b)
			b.Synced = nil
			disk, space := b.read("dev/vda"), b.read("dev/vda2")
			renewed, err := b.Renew()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || renewed != nil {
				t.Errorf("%v, %v; want %q", renewed, err, c.want)
			}
			if !bytes.Equal(disk, b.read("dev/vda")) || !bytes.Equal(space, b.read("dev/vda2")) {
				t.Error("the disk was changed")
			}
		})
	}
}

// boot puts boot code into sector 0.
func (b *box) boot(code []byte) {
	b.Helper()
	if err := blockdev.WriteBack(filepath.Join(b.Root, b.Disk), code, 0); err != nil {
		b.Fatal(err)
	}
}

// old puts a core image into the first half, and beyond.
func (b *box) old(p GRUB) {
	b.Helper()
	f, err := p.at(firstSector)
	if err == nil {
		err = blockdev.WriteBack(filepath.Join(b.Root, b.BIOSBoot.Path), f.core, 0)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// program is a file that calls itself what systemd-boot and others do.
func program(t *testing.T, about string) []byte {
	t.Helper()
	out, err := pe.Build(petest.Stub(), []pe.Section{{Name: ".sdmagic", Data: []byte(about)}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSystemdBoot renews what UEFI starts if it is systemd-boot without a
// signature.
func TestSystemdBoot(t *testing.T) {
	old, now := program(t, "#### LoaderInfo: systemd-boot 257 ####"), program(t, "#### LoaderInfo: systemd-boot 258 ####")
	signed := bytes.Clone(old)
	le.PutUint32(signed[88+112+8*4+4:], 8)
	for name, c := range map[string]struct {
		found   []byte
		renewed bool
	}{
		"older": {old, true}, "the same": {now, false}, "signed": {signed, false}, "a kernel": {program(t, "#### LoaderInfo: systemd-stub 257 ####"), false}, "another": {[]byte("SHIM"), false}, "none": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, release('a', 20))
			put(t, filepath.Join(b.Root, "usr", layout.SystemdBoot), now)
			want := c.found
			if c.found != nil {
				put(t, filepath.Join(b.ESP, layout.DefaultLoader), c.found)
			}
			if c.renewed {
				want = now
			}
			renewed, err := b.Renew()
			got, _ := os.ReadFile(filepath.Join(b.ESP, layout.DefaultLoader))
			if !bytes.Equal(got, want) || err != nil || len(renewed) > 0 != c.renewed {
				t.Errorf("%v, %v; it is %.20q", renewed, err, got)
			}
		})
	}
}
