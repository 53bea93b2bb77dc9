//go:build linux

package update

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wellcar.dev/internal/server"
	"wellcar.dev/internal/slot"
	"wellcar.dev/test/machine"
)

// The names of test/machine that are used everywhere here.
type made = machine.Image

var now, makeImage, newPublisher, write = machine.Now, machine.MakeImage, machine.NewPublisher, machine.Write

// box is a machine made of files: what the kernel shows, two slots, the EFI
// system partition.
type box struct {
	*testing.T
	root string
	boot Boot
}

// newBox is a machine that runs an image in slot A, where it is good.
func newBox(t *testing.T, running made, trust []byte) *box {
	t.Helper()
	b := &box{T: t, root: machine.Make(t, running)}
	b.boot = Boot{ESP: ESP{Dir: filepath.Join(b.root, "boot"), Free: func(string) (int64, error) { return 64 << 20, nil }}, Root: b.root}
	write(t, b.root, OwnKeys, trust)
	return b
}

func (b *box) link(name, dir string) {
	b.Helper()
	machine.Link(b.T, b.root, name, dir)
}

func (b *box) bootInto(id slot.ID, running made, bootID string) {
	b.Helper()
	machine.Boot(b.T, b.root, id, running, bootID)
}

// start lets systemd-boot choose, and starts that.
func (b *box) start(bootID string, images ...made) made {
	b.Helper()
	kernels, err := b.boot.ESP.Kernels()
	if err != nil {
		b.Fatal(err)
	}
	next := slot.Order(kernels)[0]
	if next.Counted && next.Left > 0 {
		n := slot.Name{Version: next.Version, Counted: true, Left: next.Left - 1, Done: next.Done + 1}
		if err := b.boot.ESP.Do([]slot.Change{{From: next.Name, To: &n}}); err != nil {
			b.Fatal(err)
		}
	}
	for _, m := range images {
		if m.Release.RootHash != next.RootHash {
			continue
		}
		for _, id := range []slot.ID{slot.A, slot.B} {
			if key, ok := held(filepath.Join(b.root, fmt.Sprintf("dev/vda%d", partitionOf(id)))); ok && key == KeyOf(next.RootHash) {
				b.bootInto(id, m, bootID)
				return m
			}
		}
	}
	b.Fatalf("%s starts no slot", next.File())
	return made{}
}

func (b *box) kernels() string {
	b.Helper()
	entries, err := os.ReadDir(filepath.Join(b.root, "boot/EFI/Linux"))
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(e.Name(), "wellcar-"), ".efi"))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// service is a client of the machine; it checks only when asked.
func (b *box) service() (s *Service, states chan Operation) {
	states = make(chan Operation, 1000)
	s = NewService("x86_64")
	s.Root, s.Boot, s.Logf, s.Random = b.root, b.boot, b.Logf, func() float64 { return 0.5 }
	s.Now = func() time.Time { return now }
	s.After = func(time.Duration) <-chan time.Time { return nil }
	last := Operation("")
	s.Notify = func(st Status) {
		if st.Operation != last {
			last = st.Operation
			states <- last
		}
	}
	s.Reboot = func(bool) error { states <- "REBOOT"; return nil }
	return s, states
}

// world is a server that machines ask, and what they told it.
type world struct {
	mu    sync.Mutex
	dir   string
	told  []string
	wire  strings.Builder                               // each Omaha request and answer
	spoil func(path string, w http.ResponseWriter) bool // it has answered
	*httptest.Server
}

func newWorld(t *testing.T, dir string) *world {
	w := &world{dir: dir}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		h, spoil := server.Handler{Dir: w.dir, Logf: w.note}, w.spoil
		w.mu.Unlock()
		if spoil != nil && spoil(r.URL.Path, out) {
			return
		}
		if r.URL.Path == server.UpdatePath+"/" {
			w.converse(h, out, r)
			return
		}
		h.ServeHTTP(out, r)
	}))
	t.Cleanup(w.Close)
	return w
}

// converse answers and keeps what was said.
func (w *world) converse(h http.Handler, out http.ResponseWriter, r *http.Request) {
	asked, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(asked))
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	w.mu.Lock()
	fmt.Fprintf(&w.wire, "> %s %s %s\n%s\n< %d %s\n%s\n", r.Method, r.URL.Path, r.Header.Get("Content-Type"), asked, answer.Code, answer.Header().Get("Content-Type"), answer.Body)
	w.mu.Unlock()
	for name, values := range answer.Header() {
		out.Header()[name] = values
	}
	out.WriteHeader(answer.Code)
	out.Write(answer.Body.Bytes())
}

// exchange is the whole conversation without what differs from run to run:
// keys, digests and the address of the server.
func (w *world) exchange() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.ReplaceAll(w.wire.String(), w.URL, "http://server")
	return changing.ReplaceAllString(text, `$1="..."`)
}

var changing = regexp.MustCompile(`(hash|hash_sha256|sha256|size)="[^"]*"`)

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, strings.TrimPrefix(fmt.Sprintf(format, args...), "0123456789abcdef0123456789abcdef "))
}

func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.told, "\n")
}

// follower is a machine that runs one image and follows a server with another.
func follower(t *testing.T, p *machine.Publisher, running, offered made) (*world, *box) {
	t.Helper()
	w, b := newWorld(t, p.Publish(t, offered)), newBox(t, running, p.Trust)
	b.follow(w)
	return w, b
}

// answering spoils what ends in a suffix by an answer of its own.
func answering(suffix string, status int, body []byte) func(string, http.ResponseWriter) bool {
	return func(path string, w http.ResponseWriter) bool {
		if !strings.HasSuffix(path, suffix) {
			return false
		}
		w.WriteHeader(status)
		w.Write(body)
		return true
	}
}

// follow makes the machine follow the server.
func (b *box) follow(w *world) {
	write(b.T, b.root, "etc/flatcar/update.conf", []byte("GROUP=stable\nSERVER="+w.URL+"/v1/update/\n"))
}

// attempt runs the client from its start until one check has ended.
func (b *box) attempt(s *Service, states chan Operation) (seen []string) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	s.Start()
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); <-ended }()
	<-s.proved
	s.Attempt()
	for {
		select {
		case op := <-states:
			seen = append(seen, strings.TrimPrefix(string(op), "UPDATE_STATUS_"))
			if op == Idle || op == NeedReboot {
				return seen
			}
		case <-time.After(time.Minute):
			b.Fatalf("the check did not end; seen %v", seen)
		}
	}
}
