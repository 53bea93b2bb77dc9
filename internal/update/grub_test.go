//go:build linux

package update

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/format/pe/petest"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
	"wellcar.dev/test/machine"
)

// biosBox is a machine whose partition was made for a BIOS too.
func biosBox(t *testing.T, running made) *box {
	b := newBox(t, running, nil)
	write(t, b.root, "boot/"+layout.GrubConfig, nil)
	if err := b.boot.ESP.Refresh(); err != nil {
		t.Fatal(err)
	}
	return b
}

// menuOf is the order of versions with their marks.
func (b *box) menuOf() string {
	v := b.boot.ESP.menu()
	return strings.TrimSpace(v["version_1"] + v["tries_1"] + " " + v["version_2"] + v["tries_2"])
}

// count does what GRUB does: it changes marks in the block, nothing else.
func (b *box) count(from, to string) {
	b.Helper()
	name := filepath.Join(b.boot.ESP.Dir, layout.GrubEnv)
	block, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	changed := bytes.Replace(block, []byte("tries_1="+from+"\n"), []byte("tries_1="+to+"\n"), 1)
	if bytes.Equal(block, changed) || len(block) != len(changed) {
		b.Fatalf("no tries_1=%s in %s", from, block)
	}
	write(b.T, b.root, "boot/"+layout.GrubEnv, changed)
}

func (b *box) want(kernels, menu string) {
	b.Helper()
	if got := b.kernels(); got != kernels {
		b.Errorf("the kernels are %s, want %s", got, kernels)
	}
	if got := b.menuOf(); got != menu {
		b.Errorf("the menu is %s, want %s", got, menu)
	}
}

func (b *box) stage(m made) {
	b.Helper()
	name, _ := slot.ParseName("wellcar-" + m.Version + "+3.efi")
	activate, err := b.boot.ESP.Stage(bytes.NewReader(m.UKI), name)
	if err == nil {
		err = activate()
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (b *box) change(act func(slot.State) ([]slot.Change, error)) {
	b.Helper()
	state, err := b.boot.State()
	if err != nil {
		b.Fatal(err)
	}
	changes, err := act(state)
	if err == nil {
		err = b.boot.ESP.Do(changes)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// TestGRUB follows a machine with a BIOS over an update that is good and one
// that is not.
func TestGRUB(t *testing.T) {
	first, second := makeImage(t, "1.0.0"), makeImage(t, "2.0.0")
	b := biosBox(t, first)
	b.want("1.0.0", "1.0.0")
	b.stage(second)
	b.want("1.0.0 2.0.0+3", "2.0.0III 1.0.0")
	b.count("III", "-II")
	write(t, b.root, "dev/vda4", append(bytes.Clone(second.Usr), make([]byte, machine.SlotSize-len(second.Usr))...))
	b.bootInto(slot.B, second, "boot-2")
	b.change(func(s slot.State) ([]slot.Change, error) { return nil, nil })
	b.want("1.0.0 2.0.0+2-1", "2.0.0-II 1.0.0")
	b.count("-II", "--I")
	b.change(slot.MarkGood)
	b.want("1.0.0 2.0.0", "2.0.0 1.0.0")
	b.change(func(s slot.State) ([]slot.Change, error) { return slot.Prioritize(s, slot.A, KeyOf) })
	b.want("1.0.0 2.0.0+0-0", "1.0.0 2.0.0")
	b.change(func(s slot.State) ([]slot.Change, error) { return slot.Clear(s), nil })
	b.want("2.0.0+0-0", "2.0.0")
}

func TestGRUBGoesBack(t *testing.T) {
	first, second := makeImage(t, "1.0.0"), makeImage(t, "2.0.0")
	b := biosBox(t, first)
	write(t, b.root, "dev/vda4", append(bytes.Clone(second.Usr), make([]byte, machine.SlotSize-len(second.Usr))...))
	b.stage(second)
	b.count("III", "-II")
	b.bootInto(slot.B, second, "boot-2")
	b.change(func(s slot.State) ([]slot.Change, error) { return slot.MarkBad(s, KeyOf) })
	b.want("1.0.0 2.0.0+0-1", "1.0.0 2.0.0-")
	// Three starts that never came so far.
	b = biosBox(t, first)
	b.stage(second)
	b.count("III", "---")
	b.bootInto(slot.A, first, "boot-5")
	b.change(func(s slot.State) ([]slot.Change, error) { return nil, nil })
	b.want("1.0.0 2.0.0+0-3", "1.0.0 2.0.0---")
}

// TestGRUBMenuIsTorn lets the power go between the two copies.
func TestGRUBMenuIsTorn(t *testing.T) {
	b := biosBox(t, makeImage(t, "1.0.0"))
	old, err := os.ReadFile(filepath.Join(b.boot.ESP.Dir, layout.GrubEnv))
	if err != nil {
		t.Fatal(err)
	}
	b.stage(makeImage(t, "2.0.0"))
	whole, err := os.ReadFile(filepath.Join(b.boot.ESP.Dir, layout.GrubEnv))
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.root, "boot/"+layout.GrubEnv, append(bytes.Clone(whole[:512]), old[512:]...))
	if got := b.menuOf(); got != "2.0.0III 1.0.0" {
		t.Errorf("a torn menu reads as %s", got)
	}
}

func TestGRUBAddsTheOwnersWords(t *testing.T) {
	b := biosBox(t, makeImage(t, "1.0.0"))
	addon, err := pe.Build(petest.Stub(), []pe.Section{{Name: ".cmdline", Data: []byte("mitigations=off quiet\x00")}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.root, "boot/loader/addons/owner.addon.efi", addon)
	if err := b.boot.ESP.Refresh(); err != nil {
		t.Fatal(err)
	}
	if got := b.boot.ESP.menu()["added"]; got != "mitigations=off quiet" {
		t.Errorf("added words: %q", got)
	}
}
