//go:build linux

package update

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/release"
)

// TestBadServers holds what the client does with servers that lie, stall, send
// too much and close early, at each kind of request: it refuses or gets
// through, never waits for ever, and whatever happens the running system stays
// what it was and nothing incomplete is activated.
func TestBadServers(t *testing.T) {
	one, two, three := makeImage(t, "1.0.0"), makeImage(t, "1.1.0"), makeImage(t, "1.2.0")
	p := newPublisher(t)
	dir, other := p.Publish(t, two), p.Publish(t, three)
	file := func(dir, name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	full := file(dir, "full.payload")
	for name, c := range map[string]struct {
		at    string // end of the path
		do    func(w http.ResponseWriter, r *http.Request)
		want  string // in the error; "": it gets through
		times int    // that it does so; 0: always
	}{
		"stalls before the answer":   {"/update/", silent, "no answer within", 0},
		"stalls within the answer":   {"/update/", func(w http.ResponseWriter, r *http.Request) { send(w, "<?xml"); silent(w, r) }, "no answer within", 1},
		"stalls before the manifest": {"manifest.json", silent, "", 1},
		"stalls within the payload":  {"full.payload", func(w http.ResponseWriter, r *http.Request) { send(w, string(full[:1000])); silent(w, r) }, "", 2},
		"always stalls":              {"full.payload", silent, "no byte came", 0},
		"closes at once":             {"full.payload", hangUp, "fetching", 0},
		"closes once":                {"full.payload", hangUp, "", 3},
		"closes the signature":       {".sig", hangUp, "", 2},
		"sends an endless manifest":  {"manifest.json", endless, "more came than allowed", 0},
		"sends an endless signature": {".sig", endless, "more came than allowed", 0},
		"sends an endless payload":   {"full.payload", endless, "digest", 0},
		"sends more than the payload": {"full.payload", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(bytes.Clone(full), make([]byte, 1<<20)...)))
		}, "", 0},
		"sends another payload": {"full.payload", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file(other, "full.payload")))
		}, "digest", 0},
		"sends a damaged payload": {"full.payload", func(w http.ResponseWriter, r *http.Request) {
			bad := bytes.Clone(full)
			bad[len(bad)-10] ^= 1
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(bad))
		}, "digest", 0},
		"ignores ranges":         {"full.payload", func(w http.ResponseWriter, _ *http.Request) { send(w, string(full)) }, "", 0},
		"sends a damaged index":  {"full.index", func(w http.ResponseWriter, _ *http.Request) { send(w, "index") }, "", 0},
		"sends another manifest": {"manifest.json", func(w http.ResponseWriter, _ *http.Request) { w.Write(file(other, release.ManifestFile)) }, "the server said", 0},
		"sends in circles":       {"manifest.json", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirects", 0},
		"sends elsewhere": {"full.payload", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+"/x", http.StatusFound)
		}, "a redirect from http to https", 0},
		"is busy, then not": {"full.payload", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "", 3},
		"says the wrong range": {"full.payload", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(full[7:])
		}, "206", 0},
		"forgets all but the head": {"full.payload", func(w http.ResponseWriter, _ *http.Request) { send(w, string(full[:2000])) }, "fetching", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dir)
			inner, n := w.Config.Handler, 0
			w.Config.Handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, c.at) {
					inner.ServeHTTP(out, r)
					return
				}
				if n++; c.times > 0 && n > c.times {
					inner.ServeHTTP(out, r)
					return
				}
				c.do(out, r)
			})
			b := newBox(t, one, p.Trust)
			b.follow(w)
			s, states := b.service()
			s.Logf = func(string, ...any) {}
			s.Pause, s.Stall, s.AskTime = time.Microsecond, 200*time.Millisecond, time.Second
			seen := b.attempt(s, states)
			got := s.LastError()
			switch {
			case c.want == "" && seen[len(seen)-1] == "UPDATED_NEED_REBOOT" && b.kernels() == "1.0.0 1.1.0+3":
				b.sameSlot("dev/vda4", two)
			case c.want == "" || !strings.Contains(got, c.want) || b.kernels() != "1.0.0":
				t.Errorf("%v; kernels %s; %s", seen, b.kernels(), got)
			}
			b.sameSlot("dev/vda3", one)
		})
	}
}

// send writes something and lets it go.
func send(w http.ResponseWriter, text string) {
	fmt.Fprint(w, text)
	http.NewResponseController(w).Flush()
}

// silent waits until the client is gone.
func silent(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // only then the end of the connection is seen
	<-r.Context().Done()
}

// hangUp ends the connection.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// endless sends until the client is gone.
func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}
