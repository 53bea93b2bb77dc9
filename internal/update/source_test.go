//go:build linux

package update

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wellcar.dev/internal/release"
)

// signed is a release as a machine gets it, with a verifier of the machine.
func signed(t *testing.T, version string) (v Verifier, manifest, signature []byte) {
	t.Helper()
	m := makeImage(t, version)
	p := newPublisher(t)
	dir := p.Publish(t, m)
	b := newBox(t, m, p.Trust)
	for name, to := range map[string]*[]byte{release.ManifestFile: &manifest, release.SignatureFile: &signature} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		*to = data
	}
	return Verifier{Root: b.root, Board: "amd64-usr", Prefs: Prefs{filepath.Join(b.root, PrefsDir)}, Now: now}, manifest, signature
}

// TestClockSetBack: what has expired stays so when the clock is set back.
func TestClockSetBack(t *testing.T) {
	v, manifest, signature := signed(t, "1.0.0") // for a month
	at := func(when time.Time) error {
		v.Now = when
		_, err := v.Verify(manifest, signature)
		return err
	}
	if err := at(now.AddDate(0, 0, 20)); err != nil {
		t.Fatal(err)
	}
	if err := at(now); err != nil { // 20 days later, as far as the machine knows
		t.Error(err)
	}
	seen, _ := v.Prefs.Get(PrefTime)
	if want := now.AddDate(0, 0, 20).Format(time.RFC3339); seen != want {
		t.Errorf("the newest time is %s, want %s", seen, want)
	}
	if err := at(now.AddDate(0, 2, 0)); !errors.Is(err, release.ErrExpired) {
		t.Error(err)
	}
	if again, _ := v.Prefs.Get(PrefTime); again != seen {
		t.Errorf("a release that was not believed moved the time to %s", again)
	}
	if err := v.Prefs.Set(PrefTime, now.AddDate(0, 2, 0).Format(time.RFC3339)); err != nil { // of a later release
		t.Fatal(err)
	}
	if err := at(now); !errors.Is(err, release.ErrExpired) {
		t.Errorf("with the clock set back: %v", err)
	}
}

// TestMinimum: only the very version that was asked for may be below the
// minimum of releases seen.
func TestMinimum(t *testing.T) {
	v, manifest, signature := signed(t, "1.0.0")
	if err := v.Prefs.Set(PrefMinimum, "1.1.0"); err != nil {
		t.Fatal(err)
	}
	for exact, want := range map[string]error{"": release.ErrDowngrade, "1.0.0": nil, "1.1.0": release.ErrDowngrade} {
		v.Exact = exact
		m, err := v.Verify(manifest, signature)
		if !errors.Is(err, want) || err == nil && m.Version != "1.0.0" {
			t.Errorf("exact %q: %s, %v", exact, m.Version, err)
		}
	}
}
