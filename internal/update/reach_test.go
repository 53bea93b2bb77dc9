//go:build linux

package update

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeepsWayBack: a payload that is not there costs nothing, not even the
// version before the running one.
func TestKeepsWayBack(t *testing.T) {
	one, two, three := makeImage(t, "1.0.0"), makeImage(t, "1.1.0"), makeImage(t, "1.2.0")
	p := newPublisher(t)
	w, b := follower(t, p, one, two)
	s, states := b.service()
	b.attempt(s, states)
	b.start("boot-2", one, two)
	w.dir = p.Publish(t, three)
	w.spoil = answering("full.payload", http.StatusNotFound, nil)
	s, states = b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "IDLE" || !strings.Contains(s.LastError(), "404") {
		t.Errorf("%v: %s", seen, s.LastError())
	}
	if got := b.kernels(); got != "1.0.0 1.1.0" {
		t.Errorf("kernels %s", got)
	}
	b.sameSlot("dev/vda3", one)

	if err := os.Truncate(filepath.Join(w.dir, "full.payload"), 20000); err != nil {
		t.Fatal(err)
	}
	v := Verifier{Root: b.root, Board: "amd64-usr", Prefs: s.prefs(), Now: now}
	rel, err := OpenLocal(w.dir, v)
	if err == nil {
		_, err = (&Installer{Boot: b.boot, Prefs: v.Prefs, Logf: t.Logf}).Install(t.Context(), rel)
	}
	if err == nil || b.kernels() != "1.0.0 1.1.0" {
		t.Errorf("a copy that was cut: %v; kernels %s", err, b.kernels())
	}
}
