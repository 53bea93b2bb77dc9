//go:build linux

package update

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/slot"
)

// cutting ends each answer after some bytes.
type cutting struct {
	http.ResponseWriter
	left int
	done bool
}

var errCut = errors.New("cut")

func (c *cutting) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	c.ResponseWriter.Write(p[:c.left])
	http.NewResponseController(c.ResponseWriter).Flush()
	c.left, c.done = 0, true
	return 0, errCut
}

// TestCutDownloads: a connection that is cut again and again only costs time.
func TestCutDownloads(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w := newWorld(t, p.Publish(t, two))
	inner := w.Config.Handler
	requests := 0
	w.Config.Handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/full.payload") {
			inner.ServeHTTP(out, r)
			return
		}
		requests++
		c := &cutting{ResponseWriter: out, left: 3000}
		if inner.ServeHTTP(c, r); c.done {
			panic(http.ErrAbortHandler)
		}
	})
	b := newBox(t, one, p.Trust)
	b.follow(w)
	s, states := b.service()
	s.Pause = time.Microsecond
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" || requests < 3 {
		t.Errorf("%v after %d requests: %s", seen, requests, s.LastError())
	}
	b.sameSlot("dev/vda4", two)
}

// TestStopsAndGoesOn stops the client at each moment at which something is
// told, as a power cut would: what ran before starts until the new version is
// complete, and the next attempt completes it.
func TestStopsAndGoesOn(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two, one)
	for n := 1; n < 12; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			w := newWorld(t, dir)
			b := newBox(t, one, p.Trust)
			b.follow(w)
			s, _ := b.service()
			b.stopAt(s, n)
			b.mustStart(one, two)
			b.bootInto(slot.A, one, "boot-2")
			s, states := b.service()
			if k := b.kernels(); strings.Contains(k, "1.1.0+3") && !strings.Contains(k, ".new") {
				return // it was complete
			}
			if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" || b.kernels() != "1.0.0 1.1.0+3" {
				t.Errorf("%v; kernels %s; %s", seen, b.kernels(), s.LastError())
			}
			b.sameSlot("dev/vda4", two)
		})
	}
}

// stopAt runs the client until the n-th change of its status.
func (b *box) stopAt(s *Service, n int) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	changes := 0
	s.Notify = func(st Status) {
		if changes++; changes == n || st.Operation == NeedReboot {
			stop()
		}
	}
	s.Start()
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	<-s.proved
	s.Attempt()
	<-ended
}

// mustStart looks at what would start now: its slot is whole.
func (b *box) mustStart(images ...made) {
	b.Helper()
	kernels, err := b.boot.ESP.Kernels()
	if err != nil {
		b.Fatal(err)
	}
	first := slot.Order(kernels)[0]
	for _, m := range images {
		if m.Release.RootHash == first.RootHash {
			name := "dev/vda3"
			if m.Version == "1.1.0" {
				name = "dev/vda4"
			}
			b.sameSlot(name, m)
			return
		}
	}
	b.Errorf("%s would start, which is no release", first.File())
}
