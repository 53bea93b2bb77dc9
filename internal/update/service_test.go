//go:build linux

package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
)

// TestLife follows a machine over good and bad releases.
func TestLife(t *testing.T) {
	one, two, three := makeImage(t, "1.0.0"), makeImage(t, "1.1.0"), makeImage(t, "1.2.0")
	p := newPublisher(t)
	w, b := follower(t, p, one, two)
	s, states := b.service()
	seen := b.attempt(s, states)
	want := "CHECKING_FOR_UPDATE UPDATE_AVAILABLE DOWNLOADING FINALIZING UPDATED_NEED_REBOOT"
	if got := strings.Join(seen, " "); got != want || b.kernels() != "1.0.0 1.1.0+3" {
		t.Fatalf("%s; kernels %s; %s", got, b.kernels(), s.LastError())
	}
	b.sameSlot("dev/vda4", two)

	if m := b.start("boot-2", one, two); m.Version != "1.1.0" {
		t.Fatal(m.Version)
	}
	s, states = b.service()
	w.dir = p.Publish(t, three, two)
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" || b.kernels() != "1.1.0 1.2.0+3" {
		t.Fatalf("%v; kernels %s; %s", seen, b.kernels(), s.LastError())
	}
	b.sameSlot("dev/vda3", three)

	b.start("boot-3", one, two, three)
	s, states = b.service()
	begun := ""
	s.Prove = func(context.Context) error {
		if _, err := os.Stat(filepath.Join(b.root, layout.Judging)); err == nil {
			begun = "yes"
		}
		return errors.New("the application is gone")
	}
	b.until(s, states, "REBOOT")
	if begun == "" {
		t.Error("wellcar-trial.timer has no word that the trial began")
	}
	if b.kernels() != "1.1.0 1.2.0+0-1" {
		t.Errorf("kernels %s", b.kernels())
	}
	if m := b.start("boot-4", one, two, three); m.Version != "1.1.0" {
		t.Fatal(m.Version)
	}
	s, states = b.service()
	sentence := ""
	s.Announce = func(text string) { sentence = text }
	if seen := b.attempt(s, states); seen[len(seen)-1] != "IDLE" || !strings.Contains(s.LastError(), "1.2.0 was given up on 2026-05-04 (the application is gone)") {
		t.Errorf("%v: %s", seen, s.LastError())
	}
	if !strings.HasPrefix(sentence, "The update to 1.2.0 was undone: the application is gone.") {
		t.Errorf("at login: %q", sentence)
	}
	const told = `runs 1.0.0, follows stable; has no update behind it; asks: offered 1.1.0
runs 1.0.0, follows stable; downloads
runs 1.0.0, follows stable; has downloaded
runs 1.0.0, follows stable; has installed it and waits for a reboot
runs 1.1.0, follows stable; came from 1.0.0; asks: offered 1.2.0
runs 1.1.0, follows stable; downloads
runs 1.1.0, follows stable; has downloaded
runs 1.1.0, follows stable; has installed it and waits for a reboot
runs 1.1.0, follows stable; went back to the old version; asks: offered 1.2.0
runs 1.1.0, follows stable; holds it back: ignored by policy`
	if diff := cmp.Diff(told, w.said()); diff != "" {
		t.Error(diff)
	}
	golden(t, "life.txt", w.exchange())
	facts, err := ReadFacts(b.root, b.boot)
	if err != nil {
		t.Fatal(err)
	}
	if text := facts.Explain(); !strings.Contains(text, "Running:       1.1.0 in slot B, good\nOther slot:    1.2.0 in slot A, given up\nNext boot:     1.1.0\n") {
		t.Error(text)
	}
	if err := errors.Join(ForgetBad(b.root, "1.2.0")); err != nil {
		t.Error(err)
	}
	s, states = b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Errorf("after forgetting: %v: %s", seen, s.LastError())
	}
}

// TestLeaves: a version that was given up ends, even if reboots fail.
func TestLeaves(t *testing.T) {
	for fails, want := range map[int]string{0: "ask", 2: "ask ask ask", 9: "ask ask ask ask force"} {
		var did []string
		s := NewService("x86_64")
		s.Logf = t.Logf
		s.After = func(time.Duration) <-chan time.Time { now := make(chan time.Time, 1); now <- time.Time{}; return now }
		s.Reboot = func(force bool) error {
			did = append(did, map[bool]string{false: "ask", true: "force"}[force])
			if len(did) <= fails {
				return errors.New("the bus is gone")
			}
			return nil
		}
		s.leave(t.Context())
		if got := strings.Join(did, " "); got != want {
			t.Errorf("%d fail: %s, want %s", fails, got, want)
		}
	}
}

// golden compares with a file of testdata, which UPDATE_GOLDEN=1 writes anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// until runs the client until it comes to a state.
func (b *box) until(s *Service, states chan Operation, want Operation) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	s.Start()
	go func() { ended <- s.Run(ctx) }()
	for op := range states {
		if op == want {
			break
		}
	}
	stop()
	<-ended
}

func (b *box) sameSlot(name string, m made) {
	b.Helper()
	got, err := os.ReadFile(filepath.Join(b.root, name))
	if err != nil || !bytes.Equal(got[:len(m.Usr)], m.Usr) {
		b.Errorf("%s does not hold %s, %v", name, m.Version, err)
	}
}

// TestPanics: a version that never comes as far as the client is remembered
// by the next one that does.
func TestPanics(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w, b := follower(t, p, one, two)
	s, states := b.service()
	b.attempt(s, states)
	for n := range 3 {
		if m := b.start(fmt.Sprint("panic-", n), one, two); m.Version != "1.1.0" {
			t.Fatal(n, m.Version)
		}
	}
	if m := b.start("boot-5", one, two); m.Version != "1.0.0" {
		t.Fatal(m.Version)
	}
	s, states = b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "IDLE" || !strings.Contains(s.LastError(), "did not start") {
		t.Errorf("%v, %s", seen, s.LastError())
	}
	if !strings.Contains(w.said(), "went back to the old version") {
		t.Error(w.said())
	}
}

// TestRefuses holds that nothing that starts changes when an update fails.
func TestRefuses(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two)
	for name, c := range map[string]struct {
		change func(*box, *world)
		want   string
		told   string
	}{
		"another key":     {func(b *box, _ *world) { write(b.T, b.root, OwnKeys, newPublisher(b.T).Trust) }, "the signature does not hold", "the key does not fit"},
		"no key":          {func(b *box, _ *world) { write(b.T, b.root, OwnKeys, nil) }, "no PEM block", "the key does not fit"},
		"signature gone":  {func(_ *box, w *world) { w.spoil = answering(".sig", 404, nil) }, "404", "HTTP status 404"},
		"manifest swaps":  {func(_ *box, w *world) { w.spoil = answering("manifest.json", 200, []byte("{}")) }, "it has 2 bytes", "size of the payload"},
		"payload damaged": {func(_ *box, w *world) { w.spoil = answering("full.payload", 200, make([]byte, 1<<20)) }, "does not have the digest", "hash of the payload"},
		"ESP full":        {func(b *box, _ *world) { b.boot.ESP.Free = func(string) (int64, error) { return 1000, nil } }, "nothing was changed yet", "kernel's place"},
		"slot too small": {func(b *box, _ *world) {
			write(b.T, b.root, "sys/devices/vda/vda4/size", []byte("8\n"))
		}, "nothing was changed yet", "opening the slot"},
		"server errs":    {func(_ *box, w *world) { w.spoil = answering("/update/", 500, nil) }, "HTTP status 500", ""},
		"server babbles": {func(_ *box, w *world) { w.spoil = answering("/update/", 200, []byte("<html>")) }, "reading the Omaha response", ""},
		"too much":       {func(_ *box, w *world) { w.spoil = answering("/update/", 200, make([]byte, 2<<20)) }, "more came than allowed", ""},
		"disabled": {func(b *box, _ *world) {
			write(b.T, b.root, "etc/flatcar/update.conf", []byte("SERVER=disabled\n"))
		}, "SERVER=disabled names no server", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dir)
			b := newBox(t, one, p.Trust)
			b.follow(w)
			c.change(b, w)
			s, states := b.service()
			seen := b.attempt(s, states)
			if seen[len(seen)-1] != "IDLE" || !strings.Contains(s.LastError(), c.want) || b.kernels() != "1.0.0" {
				t.Errorf("%v; kernels %s; %s", seen, b.kernels(), s.LastError())
			}
			if !strings.Contains(w.said(), c.told) {
				t.Errorf("told: %s", w.said())
			}
			b.sameSlot("dev/vda3", one)
		})
	}
}

// TestFallsBack: a delta that does not work out costs only time.
func TestFallsBack(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w := newWorld(t, p.Publish(t, two, one))
	w.spoil = func(path string, out http.ResponseWriter) bool {
		if strings.HasSuffix(path, ".delta") {
			out.WriteHeader(http.StatusGone)
			return true
		}
		return false
	}
	b := newBox(t, one, p.Trust)
	b.follow(w)
	s, states := b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Fatalf("%v; %s", seen, s.LastError())
	}
	b.sameSlot("dev/vda4", two)
}

// TestReset takes an update back before the reboot.
func TestReset(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	_, b := follower(t, p, one, two)
	s, states := b.service()
	b.attempt(s, states)
	again, heard := b.service()
	again.Start()
	again.Repeat()
	if op := <-heard; op != NeedReboot {
		t.Errorf("listeners hear %s", op)
	}
	if st := again.Status(); st.Operation != NeedReboot || st.NewVersion != "1.1.0" {
		t.Errorf("a client that starts again has %+v", st)
	}
	if err := s.Reset(); err != nil || b.kernels() != "1.0.0" || s.Status().Operation != Idle {
		t.Errorf("%v; kernels %s; %+v", err, b.kernels(), s.Status())
	}
	if kept, err := LoadState(b.root); err != nil || kept != (State{}) {
		t.Errorf("what was decided about it is still %+v, %v", kept.Decision, err)
	}
}

// TestLocal installs from a folder and from a package, without a server, and
// an older version.
func TestLocal(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, one)
	file := filepath.Join(t.TempDir(), "package")
	packed(t, dir, file)
	for _, path := range []string{dir, file} {
		b := newBox(t, two, p.Trust)
		v := Verifier{Root: b.root, Board: "amd64-usr", Prefs: Prefs{filepath.Join(b.root, PrefsDir)}, Now: now, Exact: "1.0.0"}
		rel, err := OpenLocal(path, v)
		if err != nil {
			t.Fatal(err)
		}
		in := &Installer{Boot: b.boot, Prefs: v.Prefs, Logf: t.Logf}
		if note, err := in.Install(t.Context(), rel); err != nil || b.kernels() != "1.0.0+3 1.1.0+0-0" {
			t.Errorf("%s: %s, %v; kernels %s", path, note, err, b.kernels())
		}
		if m := b.start("boot-2", one, two); m.Version != "1.0.0" {
			t.Error(m.Version)
		}
	}
}

func packed(t *testing.T, dir, file string) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var b bytes.Buffer
	if err := release.WritePackage(&b, read(release.ManifestFile), read(release.SignatureFile), bytes.NewReader(read("full.payload"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(file), filepath.Base(file), b.Bytes())
}
