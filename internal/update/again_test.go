//go:build linux

package update

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/slot"
)

// insist installs a release as a person does who names its version.
func (b *box) insist(dir, version string, at time.Time) {
	b.Helper()
	v := Verifier{Root: b.root, Board: "amd64-usr", Prefs: Prefs{filepath.Join(b.root, PrefsDir)}, Now: at, Exact: version}
	rel, err := OpenLocal(dir, v)
	if err == nil {
		_, err = (&Installer{Boot: b.boot, Prefs: v.Prefs, Note: NoteStaged(b.root, "1.0.0", func() time.Time { return at }), Logf: b.Logf}).Install(b.Context(), rel)
	}
	if err == nil {
		err = MarkStaged(b.root, rel.Manifest)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// TestGivenUpAgain: a version that was given up and was installed again by a
// person is reported when it fails again, with the reason of that time.
func TestGivenUpAgain(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two)
	for name, c := range map[string]struct {
		judged bool
		want   string
	}{
		"judged":     {true, "the disk is full"},
		"not judged": {false, notSeen},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, one, p.Trust)
			old := slot.Bad{Version: "1.1.0", Reason: "the application is gone", When: now.Add(-time.Hour)}
			if err := SaveBad(b.root, []slot.Bad{old}); err != nil {
				t.Fatal(err)
			}
			b.insist(dir, "1.1.0", now)
			if c.judged {
				b.start("boot-2", one, two)
				s, states := b.service()
				s.Prove = func(context.Context) error { return errors.New("the disk is full") }
				b.until(s, states, "REBOOT")
			} else {
				for _, boot := range []string{"panic-1", "panic-2", "panic-3"} {
					b.start(boot, one, two)
				}
			}
			if m := b.start("boot-5", one, two); m.Version != "1.0.0" {
				t.Fatal(m.Version)
			}
			s, _ := b.service()
			sentence := ""
			s.Announce = func(text string) { sentence = text }
			s.Start()
			s.settle()
			kept, err := LoadState(b.root)
			if err != nil || kept.Decision.Outcome != "bad" || kept.Decision.Reason != c.want || kept.Staged.Version != "" {
				t.Errorf("%+v, %v", kept, err)
			}
			if !strings.Contains(sentence, "1.1.0 was undone: "+c.want) {
				t.Errorf("at login: %q", sentence)
			}
			list, err := LoadBad(b.root)
			if err != nil || len(list) != 1 || list[0].Reason != c.want {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

// TestKeepsReason: what the trial wrote down is not replaced by the next boot,
// if a cut came before the rest of the state was written.
func TestKeepsReason(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	b := newBox(t, one, p.Trust)
	b.insist(p.Publish(t, two), "1.1.0", now.Add(-time.Minute))
	for _, boot := range []string{"panic-1", "panic-2", "panic-3"} {
		b.start(boot, one, two)
	}
	if err := SaveBad(b.root, []slot.Bad{{Version: "1.1.0", Reason: "the application is gone", When: now}}); err != nil {
		t.Fatal(err)
	}
	b.start("boot-5", one, two)
	s, _ := b.service()
	s.Start()
	s.settle()
	if kept, err := LoadState(b.root); err != nil || kept.Decision.Reason != "the application is gone" || kept.Decision.Outcome != "bad" {
		t.Errorf("%+v, %v", kept, err)
	}
}
