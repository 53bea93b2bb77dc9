//go:build linux

package update

import (
	"context"
	"errors"
	"testing"

	"wellcar.dev/internal/slot"
)

// TestPutBehind puts the running version before one that was installed and
// never ran, and then that one first again: it was not given up meanwhile, and
// it still has to prove itself.
func TestPutBehind(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	_, b := follower(t, p, one, two)
	s, states := b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Fatalf("%v; %s", seen, s.LastError())
	}
	write(t, b.root, "etc/flatcar/update.conf", []byte("SERVER=disabled\n"))
	b.change(func(s slot.State) ([]slot.Change, error) { return slot.Prioritize(s, slot.A, KeyOf) })
	if m := b.start("boot-2", one, two); m.Version != "1.0.0" || b.kernels() != "1.0.0 1.1.0+0" {
		t.Fatal(m.Version, b.kernels())
	}
	s, _ = b.service()
	if end := b.round(s); end != Idle || b.kernels() != "1.0.0 1.1.0+0" {
		t.Errorf("%s; kernels %s", end, b.kernels())
	}
	if bad, err := LoadBad(b.root); err != nil || len(bad) != 0 {
		t.Errorf("given up: %+v, %v", bad, err)
	}
	if kept, err := LoadState(b.root); err != nil || kept.Decision != (Decision{}) {
		t.Errorf("%+v, %v", kept.Decision, err)
	}
	b.change(func(s slot.State) ([]slot.Change, error) { return slot.Prioritize(s, slot.B, KeyOf) })
	if m := b.start("boot-3", one, two); m.Version != "1.1.0" || b.kernels() != "1.0.0 1.1.0+2-1" {
		t.Fatal(m.Version, b.kernels())
	}
	s, _ = b.service()
	s.Prove = func(context.Context) error { return errors.New("the application is gone") }
	if end := b.round(s); end != "REBOOT" || b.kernels() != "1.0.0 1.1.0+0-1" {
		t.Errorf("%s; kernels %s", end, b.kernels())
	}
	b.remembersOnly("1.1.0")
}
