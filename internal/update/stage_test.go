//go:build linux

package update

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/release"
)

// TestNotedBefore: the next boot knows of a version before its kernel has a
// name, and of none whose kernel could not get one.
func TestNotedBefore(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two)
	for name, spoil := range map[string]bool{"installed": false, "failed": true} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, one, p.Trust)
			prefs := Prefs{filepath.Join(b.root, PrefsDir)}
			before := State{Decision: Decision{Version: "1.0.0", Outcome: "good", Reason: "every check held"}}
			if err := before.Save(b.root); err != nil {
				t.Fatal(err)
			}
			rel, err := OpenLocal(dir, Verifier{Root: b.root, Board: "amd64-usr", Prefs: prefs, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			note := NoteStaged(b.root, "1.0.0", func() time.Time { return now })
			in := &Installer{Boot: b.boot, Prefs: prefs, Logf: t.Logf, Note: func(m release.Manifest) (func() error, error) {
				takeBack, err := note(m)
				if kernels := b.kernels(); kernels != "1.0.0 1.1.0+3.efi.new" {
					t.Errorf("kernels %s", kernels)
				}
				if spoil {
					if err := os.Remove(b.boot.ESP.path("wellcar-1.1.0+3.efi.new")); err != nil {
						t.Fatal(err)
					}
				}
				return takeBack, err
			}}
			if _, err = in.Install(t.Context(), rel); (err != nil) != spoil {
				t.Fatal(err)
			}
			kept, err := LoadState(b.root)
			previous, _ := prefs.Get(PrefPrevious)
			if err != nil || (kept == before && previous == "") != spoil || (kept.Staged.Version == "1.1.0" && previous == "1.0.0") == spoil {
				t.Errorf("%+v, %v, previous version %q", kept, err, previous)
			}
		})
	}
}

// TestCutBeforeName: after a cut between the note and the name, the machine
// goes on as if nothing had been tried.
func TestCutBeforeName(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w, b := follower(t, p, one, two)
	if _, err := NoteStaged(b.root, "1.0.0", func() time.Time { return now })(release.Manifest{Version: "1.1.0", RootHash: hex.EncodeToString(two.Release.RootHash[:])}); err != nil {
		t.Fatal(err)
	}
	s, _ := b.service()
	if s.Start(); s.Status().Operation != Idle {
		t.Errorf("a client that starts again is at %s", s.Status().Operation)
	}
	b.start("boot-2", one)
	s, states := b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Errorf("%v: %s", seen, s.LastError())
	}
	if strings.Contains(w.said(), "went back") {
		t.Error(w.said())
	}
}
