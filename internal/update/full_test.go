//go:build linux

package update

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/sys/mount"
)

// TestFullDisk fills the root file system before an update, and between an
// update and its trial: nothing is changed, or the machine goes back all the
// same and does not try again.
func TestFullDisk(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	_, b := follower(t, p, one, two)
	fill := b.smallDisk("var")

	free := fill()
	s, states := b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "IDLE" || !strings.Contains(s.LastError(), "checking the root file system: 256 KiB cannot be written") || b.kernels() != "1.0.0" {
		t.Errorf("%v; kernels %s; %s", seen, b.kernels(), s.LastError())
	}
	free()
	s, states = b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Fatalf("with room: %v; %s", seen, s.LastError())
	}
	b.start("boot-2", one, two)
	free = fill()
	s, _ = b.service()
	s.Prove = func(context.Context) error { return errors.New("the disk is full") }
	if end := b.round(s); end != "REBOOT" || b.kernels() != "1.0.0 1.1.0+0-1" {
		t.Errorf("%s; kernels %s", end, b.kernels())
	}
	if m := b.start("boot-3", one, two); m.Version != "1.0.0" {
		t.Fatal(m.Version)
	}
	s, states = b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "IDLE" || !strings.Contains(s.LastError(), "1.1.0 was given up") {
		t.Errorf("with a full disk: %v; %s", seen, s.LastError())
	}
	free()
	b.bootInto("A", one, "boot-4")
	b.service()
	s, states = b.service()
	b.attempt(s, states)
	b.remembersOnly("1.1.0")
}

func (b *box) remembersOnly(version string) {
	b.Helper()
	if bad, err := LoadBad(b.root); err != nil || len(bad) != 1 || bad[0].Version != version {
		b.Errorf("given up: %+v, %v", bad, err)
	}
}

// smallDisk makes a folder a file system of its own with little room; fill
// takes all of that.
func (b *box) smallDisk(dir string) (fill func() (free func())) {
	b.Helper()
	path := filepath.Join(b.root, dir)
	if err := os.MkdirAll(path, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := (mount.Mount{Source: "small", Target: path, Type: "tmpfs", Data: "size=1m"}).Mount(); err != nil {
		b.Skipf("a small file system cannot be mounted: %v", err)
	}
	b.Cleanup(func() {
		if err := mount.Unmount(path); err != nil {
			b.Error(err)
		}
	})
	return func() func() {
		name := filepath.Join(path, "filler")
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for block := make([]byte, 4096); err == nil; {
			_, err = f.Write(block)
		}
		return func() { os.Remove(name) }
	}
}
