//go:build linux

package update

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/layout"
)

// grubBox is a machine with a BIOS whose GRUB is of a release.
func grubBox(t *testing.T, running made, trust []byte) *box {
	b := newBox(t, running, trust)
	const first, size = 4096, 128 // sectors
	about := map[string]string{"uevent": "MAJOR=1\nMINOR=2\nDEVTYPE=partition\nDEVNAME=vda2\nPARTN=2\nPARTNAME=BIOS-BOOT\n", "size": fmt.Sprintln(size), "ro": "0\n", "start": fmt.Sprintln(first)}
	for name, text := range about {
		write(t, b.root, "sys/class/block/vda/vda2/"+name, []byte(text))
	}
	b.link("vda2", "vda/vda2")
	b.carries(running.Version)
	boot, core := grubOf(running.Version)
	code, err := grub.BootCode(boot, first)
	if err != nil {
		t.Fatal(err)
	}
	placed, err := grub.Core(core, first)
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.root, "dev/vda", append(code, make([]byte, 8192-len(code))...))
	write(t, b.root, "dev/vda2", append(placed, make([]byte, size*512-len(placed))...))
	write(t, b.root, "boot/"+layout.GrubConfig, []byte(running.Version))
	return b
}

// grubOf makes what a version has of GRUB.
func grubOf(version string) (boot, core []byte) {
	boot, core = bytes.Repeat([]byte(version), 512)[:512], bytes.Repeat([]byte(version), 512)[:5*512]
	boot[0x64], boot[510], boot[511] = 0xff, 0x55, 0xaa
	binary.LittleEndian.PutUint32(core[508:], 4|0x820<<16)
	return boot, core
}

// carries makes GRUB of a version that in /usr.
func (b *box) carries(version string) {
	b.Helper()
	boot, core := grubOf(version)
	for name, data := range map[string][]byte{"boot.img": boot, "core.img": core, "grub.cfg": []byte(version)} {
		write(b.T, b.root, layout.GrubDir+"/"+name, data)
	}
}

// grubIs holds that a BIOS starts GRUB of a version.
func (b *box) grubIs(version string) {
	b.Helper()
	s := b.shoot()
	boot, core := grubOf(version)
	at := binary.LittleEndian.Uint64(s["dev/vda"][0x5c:])
	code, err := grub.BootCode(boot, at)
	if err != nil {
		b.Fatal(err)
	}
	placed, err := grub.Core(core, at)
	if err != nil {
		b.Fatal(err)
	}
	if !bytes.HasPrefix(s["dev/vda"], code) || !bytes.HasPrefix(s["dev/vda2"][(at-4096)*512:], placed) {
		b.Errorf("sector 0 does not start GRUB of %s", version)
	}
	if got := string(s["boot/"+layout.GrubConfig]); got != version {
		b.Errorf("the configuration is that of %s, want %s", got, version)
	}
}

// TestLoadersFollow gives the disk the loaders of a version once that is good,
// be it late, and never those of one that is not.
func TestLoadersFollow(t *testing.T) {
	one, two, three := makeImage(t, "1.0.0"), makeImage(t, "1.1.0"), makeImage(t, "1.2.0")
	p := newPublisher(t)
	w := newWorld(t, p.Publish(t, two))
	b := grubBox(t, one, p.Trust)
	b.follow(w)
	s, states := b.service()
	b.attempt(s, states)
	b.grubIs("1.0.0")

	b.start("boot-2", one, two)
	b.carries("1.1.0")
	s, states = b.service()
	s.Prove = func(context.Context) error { b.grubIs("1.0.0"); return nil }
	w.dir = p.Publish(t, three, two)
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Fatalf("%v; %s", seen, s.LastError())
	}
	b.grubIs("1.1.0")

	b.start("boot-3", one, two, three)
	b.carries("1.2.0")
	s, states = b.service()
	s.Prove = func(context.Context) error { return errors.New("the application is gone") }
	b.until(s, states, "REBOOT")
	b.grubIs("1.1.0")

	b.start("boot-4", one, two, three)
	b.carries("1.1.1") // as if the boot before had been cut before this
	s, states = b.service()
	b.attempt(s, states)
	b.grubIs("1.1.1")
}

// TestLoadersLeaveTheOldSystem lets the core image of a system that ran before
// stay until an update retires that.
func TestLoadersLeaveTheOldSystem(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w := newWorld(t, p.Publish(t, two))
	b := grubBox(t, one, p.Trust)
	b.follow(w)
	write(t, b.root, "boot/EFI/wellcar/takeover.json", []byte(`{"version":"1.0.0","stage":"kept","bios":true}`))
	b.carries("1.0.1")
	s, states := b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Fatalf("%v; %s", seen, s.LastError())
	}
	b.grubIs("1.0.0")
	b.start("boot-2", one, two)
	b.carries("1.1.0")
	s, states = b.service()
	b.attempt(s, states)
	b.grubIs("1.1.0")
}
