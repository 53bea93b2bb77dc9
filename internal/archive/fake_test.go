package archive

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"wellcar.dev/internal/lock"
)

// today is when the tests take place.
var today = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func at(t time.Time) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return t }}
}

func newKey(t testing.TB) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("Archive of the tests", "", "archive@example.org", at(today.AddDate(-1, 0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, text string, key *openpgp.Entity) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, key.PrivateKey, at(today.Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A fakeArchive serves both archives of a mirror, at /debian and
// /debian-security, from memory.
type fakeArchive struct {
	t      testing.TB
	key    *openpgp.Entity
	server *httptest.Server

	plain   bool // serve indexes by their name instead of their hash
	mu      sync.Mutex
	files   map[string][]byte // by path of the address
	asked   []string          // "GET /debian/... bytes=10-" as they came
	instead map[string]http.HandlerFunc
}

// newFake serves three empty suites of trixie.
func newFake(t testing.TB) *fakeArchive {
	f := &fakeArchive{t: t, key: newKey(t), files: map[string][]byte{}, instead: map[string]http.HandlerFunc{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	for _, s := range Suites(Release) {
		f.publish(s)
	}
	return f
}

func (f *fakeArchive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	data, found := f.files[r.URL.Path]
	instead := f.instead[r.URL.Path]
	f.mu.Unlock()
	switch {
	case instead != nil:
		instead(w, r)
	case found:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	default:
		http.NotFound(w, r)
	}
}

// answer replaces what is served at a path; nil puts it back.
func (f *fakeArchive) answer(path string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead[path] = h
}

func (f *fakeArchive) put(path string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[path] = data
}

func (f *fakeArchive) remove(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.files, path)
}

// requests returns and forgets the requests for addresses with the part.
func (f *fakeArchive) requests(part string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, a := range f.asked {
		if strings.Contains(a, part) {
			out = append(out, a)
		}
	}
	f.asked = nil
	return out
}

// A fakePackage is a stanza to be; its file holds its content.
type fakePackage struct {
	name, version string
	fields        string // further lines
	content       string
}

func (p fakePackage) path() string {
	return "pool/main/" + p.name[:1] + "/" + p.name + "/" + p.name + "_" + p.version + "_amd64.deb"
}

func (p fakePackage) bytes() []byte { return []byte(p.name + p.version + p.content) }

func (p fakePackage) stanza() string {
	s := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: %s\nSize: %d\nSHA256: %s\n",
		p.name, p.version, p.path(), len(p.bytes()), hashOf(p.bytes()))
	if p.fields != "" {
		s += strings.TrimSpace(p.fields) + "\n"
	}
	return s + "\n"
}

func (p fakePackage) locked(archive string, groups ...string) lock.Package {
	return lock.Package{Name: p.name, Version: p.version, Architecture: "amd64", Archive: archive,
		Path: p.path(), Size: int64(len(p.bytes())), SHA256: hashOf(p.bytes()), Groups: groups}
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// publish replaces the packages of a suite.
func (f *fakeArchive) publish(s lock.Suite, packages ...fakePackage) {
	f.t.Helper()
	var index bytes.Buffer
	w := gzip.NewWriter(&index)
	for _, p := range packages {
		if _, err := w.Write([]byte(p.stanza())); err != nil {
			f.t.Fatal(err)
		}
		f.put("/"+s.Archive+"/"+p.path(), p.bytes())
	}
	if err := w.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.publishIndex(s, "main/binary-amd64/Packages.gz", index.Bytes())
}

// publishIndex serves an index by its hash only, as a mirror that is being
// updated does, with an InRelease for it.
func (f *fakeArchive) publishIndex(s lock.Suite, name string, index []byte) {
	f.t.Helper()
	dir := "/" + s.Archive + "/dists/" + s.Name + "/"
	place := path.Dir(name) + "/by-hash/SHA256/" + hashOf(index)
	if f.plain {
		place = name
	}
	f.put(dir+place, index)
	f.put(dir+"InRelease", sign(f.t, releaseText(s.Name, name, index), f.key))
}

func releaseText(suite, name string, index []byte) string {
	return fmt.Sprintf("Origin: Debian\nSuite: stable\nCodename: %s\nDate: Thu, 15 Jan 2026 09:00:00 UTC\n"+
		"Valid-Until: Thu, 22 Jan 2026 09:00:00 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64 arm64\n"+
		"Components: main\nMD5Sum:\n 00000000000000000000000000000000 %d %s\nSHA256:\n %s %d %s\n",
		suite, len(index), name, hashOf(index), len(index), name)
}

func (f *fakeArchive) keys() []byte {
	var out bytes.Buffer
	if err := f.key.Serialize(&out); err != nil {
		f.t.Fatal(err)
	}
	return out.Bytes()
}

// cache is a new cache that trusts and uses the archive, and is impatient.
func (f *fakeArchive) cache(t testing.TB) Cache {
	return Cache{Dir: t.TempDir(), Client: Client{
		Mirror: Mirror{Debian: f.server.URL + "/debian", Security: f.server.URL + "/debian-security"},
		Keys:   f.keys(), Now: func() time.Time { return today },
		Attempts: 3, Backoff: time.Millisecond, Stall: 20 * time.Second,
	}}
}

// wantError checks that an error has all the parts.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func signByMany(t testing.TB, text string, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var private []*packet.PrivateKey
	for _, k := range keys {
		private = append(private, k.PrivateKey)
	}
	var out bytes.Buffer
	w, err := clearsign.EncodeMulti(&out, private, at(today.Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
