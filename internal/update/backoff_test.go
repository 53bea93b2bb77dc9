//go:build linux

package update

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAttempts holds what counts as an attempt at an offer, after which it is
// left alone for a day: what an address sends, once for all of them, and not
// what is wrong with the machine.
func TestAttempts(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two)
	payload := func(status int, body []byte) func(string, http.ResponseWriter) bool {
		return answering("full.payload", status, body)
	}
	for name, c := range map[string]struct {
		change func(*box, *world)
		want   string
	}{
		"a damaged payload":     {func(_ *box, w *world) { w.spoil = payload(200, make([]byte, 1<<20)) }, "1"},
		"no address has it":     {func(_ *box, w *world) { w.spoil = payload(503, nil) }, "1"},
		"the partition is full": {func(b *box, _ *world) { b.boot.ESP.Free = func(string) (int64, error) { return 1000, nil } }, "0"},
		"another one installs": {func(b *box, _ *world) {
			f, err := (&Installer{Boot: b.boot}).lock()
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { f.Close() })
		}, "0"},
		"no manifest": {func(_ *box, w *world) {
			w.spoil = func(path string, w http.ResponseWriter) bool {
				if strings.HasSuffix(path, "manifest.json") {
					w.WriteHeader(404)
					return true
				}
				return false
			}
		}, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dir)
			b := newBox(t, one, p.Trust)
			// a mirror and the address of the answer: the same server twice
			write(t, b.root, "etc/flatcar/update.conf", []byte("GROUP=stable\nSERVER="+w.URL+"/v1/update/\nDOWNLOAD_MIRROR="+w.URL+"/release/\n"))
			c.change(b, w)
			s, states := b.service()
			s.Pause = time.Microsecond
			if seen := b.attempt(s, states); seen[len(seen)-1] != "IDLE" {
				t.Fatal(seen)
			}
			if got, _ := s.prefs().Get(PrefAttempt); got != c.want {
				t.Errorf("%s attempts, want %s: %s", got, c.want, s.LastError())
			}
		})
	}
}

// TestStopIsNoAttempt: a client that is ended in the middle of a download has
// not tried in vain.
func TestStopIsNoAttempt(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w := newWorld(t, p.Publish(t, two))
	ctx, stop := context.WithCancel(t.Context())
	w.spoil = func(path string, out http.ResponseWriter) bool {
		if strings.HasSuffix(path, "full.payload") {
			stop()
			panic(http.ErrAbortHandler)
		}
		return false
	}
	b := newBox(t, one, p.Trust)
	b.follow(w)
	s, _ := b.service()
	s.Start()
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	<-s.proved
	s.Attempt()
	<-ended
	if got, _ := s.prefs().Get(PrefAttempt); got != "0" {
		t.Errorf("%s attempts", got)
	}
}

// TestNextAddress: an address gets as many failures as the answer says, then
// the next one is asked.
func TestNextAddress(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w := newWorld(t, p.Publish(t, two))
	var asked atomic.Int32
	w.spoil = func(path string, out http.ResponseWriter) bool {
		if !strings.HasPrefix(path, "/bad/") {
			return false
		}
		asked.Add(1)
		out.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	b := newBox(t, one, p.Trust)
	write(t, b.root, "etc/flatcar/update.conf", []byte("GROUP=stable\nSERVER="+w.URL+"/v1/update/\nDOWNLOAD_MIRROR="+w.URL+"/bad/\n"))
	s, states := b.service()
	s.Pause = time.Microsecond
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Fatalf("%v: %s", seen, s.LastError())
	}
	if got := asked.Load(); got != maxURLFaults {
		t.Errorf("the first address was asked %d times, want %d", got, maxURLFaults)
	}
}
