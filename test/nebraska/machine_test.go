package nebraska

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/update"
	"wellcar.dev/test/machine"
)

// box is a machine that follows Nebraska.
type box struct {
	*testing.T
	id, root string
	boot     update.Boot
	prove    func(context.Context) error
	boots    int
	mu       sync.Mutex
	log      strings.Builder // of the last check
}

// machine is one that runs an image and follows a group.
func (w *world) machine(t *testing.T, running machine.Image, trust []byte, group string) *box {
	t.Helper()
	b := &box{T: t, root: machine.Make(t, running), boots: 1}
	w.machines++
	b.id = fmt.Sprintf("%032x", w.machines)
	b.boot = update.Boot{ESP: update.ESP{Dir: filepath.Join(b.root, "boot"), Free: func(string) (int64, error) { return 64 << 20, nil }}, Root: b.root}
	machine.Write(t, b.root, "etc/machine-id", []byte(b.id+"\n"))
	machine.Write(t, b.root, update.OwnKeys, trust)
	machine.Write(t, b.root, "etc/flatcar/update.conf", []byte("GROUP="+group+"\nSERVER="+w.url+"/v1/update/\n"))
	return b
}

// service is a client that checks only when asked.
func (b *box) service() *update.Service {
	s := update.NewService("x86_64")
	s.Root, s.Boot, s.Prove = b.root, b.boot, b.prove
	s.Now = func() time.Time { return machine.Now }
	s.After = func(time.Duration) <-chan time.Time { return nil }
	s.Logf = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		b.Log(line)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.log.WriteString(line + "\n")
	}
	return s
}

// check runs the client until it has judged the running system and checked
// for updates once. reboots says that the client restarts the machine instead.
func (b *box) check() (end update.Operation, problem string, reboots bool) {
	b.Helper()
	b.log.Reset()
	s := b.service()
	ended := make(chan update.Operation, 100)
	s.Notify = func(st update.Status) {
		if st.Operation == update.Idle || st.Operation == update.NeedReboot {
			ended <- st.Operation
		}
	}
	restart := make(chan struct{}, 1)
	s.Reboot = func(bool) error { restart <- struct{}{}; return nil }
	ctx, stop := context.WithCancel(b.Context())
	stopped := make(chan error)
	s.Start()
	go func() { stopped <- s.Run(ctx) }()
	defer func() { stop(); <-stopped }()
	s.Attempt()
	select {
	case end = <-ended:
		return end, s.LastError(), false
	case <-restart:
		return "", "", true
	case <-time.After(time.Minute):
		b.Fatalf("the check did not end: %+v", s.Status())
		return "", "", false
	}
}

// restart lets systemd-boot choose one of the images, and counts the start.
func (b *box) restart(images ...machine.Image) (version string) {
	b.Helper()
	state, err := b.boot.State()
	if err != nil {
		b.Fatal(err)
	}
	next := slot.Order(state.Kernels)[0]
	if next.Counted && next.Left > 0 {
		n := slot.Name{Version: next.Version, Counted: true, Left: next.Left - 1, Done: next.Done + 1}
		if err := b.boot.ESP.Do([]slot.Change{{From: next.Name, To: &n}}); err != nil {
			b.Fatal(err)
		}
	}
	i := slices.IndexFunc(images, func(m machine.Image) bool { return m.Release.RootHash == next.RootHash })
	for _, id := range []slot.ID{slot.A, slot.B} {
		if i >= 0 && state.Holds[id] == update.KeyOf(next.RootHash) {
			b.boots++
			machine.Boot(b.T, b.root, id, images[i], fmt.Sprintf("boot-%d", b.boots))
			return images[i].Version
		}
	}
	b.Fatalf("%s starts no slot", next.File())
	return ""
}

// has says that a slot of the machine holds an image.
func (b *box) has(device string, m machine.Image) {
	b.Helper()
	got, err := os.ReadFile(filepath.Join(b.root, "dev", device))
	if err != nil || !bytes.HasPrefix(got, m.Usr) {
		b.Errorf("%s does not hold %s, %v", device, m.Version, err)
	}
}

// told are the events of the machine's requests.
func (w *world) told(id string) string {
	var all []string
	for _, said := range w.heard(id) {
		for _, e := range said.request.Apps[0].Events {
			text := fmt.Sprintf("%d/%d", e.Type, e.Result)
			if e.PreviousVersion != nil {
				text += " " + *e.PreviousVersion
			}
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}
