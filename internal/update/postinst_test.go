//go:build linux

package update

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/format/omaha"
)

// TestHook runs the owner's hook when the new slot is whole and before
// anything starts it.
func TestHook(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two)
	for name, c := range map[string]struct {
		mode    os.FileMode
		script  string
		kernels string
		want    string // of the error
		logged  string
	}{
		"good":          {0o755, "echo it is $(cat $2/version) for $1", "1.0.0 1.1.0+3", "", "oem-postinst: it is 1.1.0 for B"},
		"refuses":       {0o755, "echo no disk >&2; exit 3", "1.0.0", "running the hook of the owner: ", "oem-postinst: no disk"},
		"not there":     {0, "", "1.0.0 1.1.0+3", "", ""},
		"not a program": {0o644, "exit 1", "1.0.0 1.1.0+3", "", "/oem/bin/oem-postinst is no program"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, one, p.Trust)
			if c.mode != 0 {
				// The kernels are seen from within: nothing starts the new version yet.
				write(t, b.root, ownersHook, []byte("#!/bin/sh\nls "+b.root+"/boot/EFI/Linux\n"+c.script+"\n"))
				if err := os.Chmod(filepath.Join(b.root, ownersHook), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			shown := b.showUsr(two)
			v := Verifier{Root: b.root, Board: "amd64-usr", Prefs: Prefs{filepath.Join(b.root, PrefsDir)}, Now: now}
			rel, err := OpenLocal(dir, v)
			if err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			in := &Installer{Boot: b.boot, Prefs: v.Prefs, Logf: func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) }}
			_, err = in.Install(t.Context(), rel)
			if got := errorText(err); !strings.HasPrefix(got, c.want) || (err == nil) != (c.want == "") || b.kernels() != c.kernels {
				t.Errorf("%v; kernels %s, want %s", err, b.kernels(), c.kernels)
			}
			if code := codeOf(err); err != nil && code != omaha.CodePostinstall {
				t.Errorf("the code is %d", code)
			}
			if !strings.Contains(log.String(), c.logged) || strings.Contains(log.String(), "1.1.0+3") || strings.Contains(log.String(), ".new") {
				t.Errorf("logged %s", log.String())
			}
			if *shown != 0 {
				t.Errorf("the new /usr is mounted %d times", *shown)
			}
		})
	}
}

// TestHookRefusesOnce does not ask the hook again for each address.
func TestHookRefusesOnce(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w := newWorld(t, p.Publish(t, two))
	b := newBox(t, one, p.Trust)
	write(t, b.root, "etc/flatcar/update.conf", []byte("GROUP=stable\nSERVER="+w.URL+"/v1/update/\nDOWNLOAD_MIRROR="+w.URL+"/release/\n"))
	asked := filepath.Join(t.TempDir(), "asked")
	write(t, b.root, ownersHook, []byte("#!/bin/sh\necho $1 >> "+asked+"\nexit 1\n"))
	if err := os.Chmod(filepath.Join(b.root, ownersHook), 0o755); err != nil {
		t.Fatal(err)
	}
	b.showUsr(two)
	s, states := b.service()
	b.attempt(s, states)
	if !strings.Contains(s.LastError(), "running the hook of the owner: ") || b.kernels() != "1.0.0" {
		t.Errorf("%s; kernels %s", s.LastError(), b.kernels())
	}
	if got, err := os.ReadFile(asked); err != nil || string(got) != "B\n" {
		t.Errorf("asked for %q, %v", got, err)
	}
}

// showUsr lets a folder with a file stand for the /usr of an image, once the
// slot holds it.
func (b *box) showUsr(m made) (shown *int) {
	shown = new(int)
	dir := b.TempDir()
	write(b.T, dir, "version", []byte(m.Version+"\n"))
	b.boot.MountUsr = func(device string, rootHash [32]byte) (string, func() error, error) {
		if rootHash != m.Release.RootHash || device != filepath.Join(b.root, "dev/vda4") {
			b.Errorf("%s with the root hash %x is shown", device, rootHash)
		}
		b.sameSlot("dev/vda4", m)
		*shown++
		return dir, func() error { *shown--; return nil }, nil
	}
	return shown
}
