package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/lock"
)

// bash is a package of 64 KiB.
var bash = fakePackage{name: "bash", version: "5.2", content: strings.Repeat("0123456789abcdef", 4096)}

const bashPath = "/debian/pool/main/b/bash/bash_5.2_amd64.deb"

// serveBash returns an archive that has bash, a cache for it and bash locked.
func serveBash(t testing.TB) (*fakeArchive, Cache, []lock.Package) {
	f := newFake(t)
	f.put(bashPath, bash.bytes())
	return f, f.cache(t), []lock.Package{bash.locked(Main, "image")}
}

// listing is the names of the files in the package cache.
func listing(t testing.TB, c Cache) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.Dir, "packages"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func wantBash(t testing.TB, c Cache, paths map[string]string) {
	t.Helper()
	sum := hashOf(bash.bytes())
	data, err := os.ReadFile(paths[sum])
	if err != nil {
		t.Fatal(err)
	}
	if hashOf(data) != sum {
		t.Error("the cached file is not the package")
	}
	if diff := cmp.Diff([]string{sum + ".deb"}, listing(t, c)); diff != "" {
		t.Error(diff)
	}
}

func partialOf(c Cache) string {
	return filepath.Join(c.Dir, "packages", hashOf(bash.bytes())+".deb.partial")
}

// send answers with bytes and no length, then ends or breaks the connection.
func send(data []byte, whole bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.Write(data)
		if err := http.NewResponseController(w).Flush(); err != nil || !whole {
			panic(http.ErrAbortHandler)
		}
	}
}

func TestFetch(t *testing.T) {
	f, c, packages := serveBash(t)
	var last Progress
	paths, err := c.Fetch(testContext(t), append(packages, packages...), FetchOptions{Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	wantBash(t, c, paths)
	size := int64(len(bash.bytes()))
	if diff := cmp.Diff(Progress{size, size, 1, 1, "bash_5.2_amd64"}, last); diff != "" {
		t.Error(diff)
	}
	f.requests("")
	if _, err := c.Fetch(testContext(t), packages, FetchOptions{Progress: func(Progress) { t.Error("progress without a download") }}); err != nil {
		t.Fatal(err)
	}
	if again := f.requests(""); again != nil {
		t.Errorf("a cached package was asked for again: %q", again)
	}
}

func TestFetchRefusals(t *testing.T) {
	tampered := bash.bytes()
	tampered[1000] ^= 1
	tests := map[string]struct {
		answer http.HandlerFunc
		want   []string
		keeps  bool // the bytes so far, for the next run
	}{
		"tampered": {send(tampered, true), []string{"it is not the expected file: its SHA-256 is " + hashOf(tampered), "the lock says " + hashOf(bash.bytes())}, false},
		"shorter": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "short") },
			[]string{"it has the wrong size: the server has 5 bytes, the lock says 65543"}, false},
		"longer": {send(append(bash.bytes(), 0), true), []string{"it has the wrong size: it is longer than the 65543 bytes that the lock says"}, false},
		"truncated": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				send(bash.bytes()[:4096], true)(w, r)
				return
			}
			w.Header().Set("Content-Range", "bytes 4096-65542/65543")
			w.WriteHeader(http.StatusPartialContent)
		}, []string{"the answer ended after 4096 of 65543 bytes"}, true},
		"404":       {http.NotFound, []string{"the archive does not have it any more", "`wellcar lock`"}, false},
		"forbidden": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }, []string{"the server answered 403 Forbidden"}, false},
		"broken":    {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) }, []string{"the server answered 502 Bad Gateway"}, false},
		"stalled": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "65543")
			w.Write(bash.bytes()[:4096])
			if err := http.NewResponseController(w).Flush(); err == nil {
				<-r.Context().Done()
			}
		}, []string{"the server sent nothing for 50ms"}, true},
		"silent": {func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, []string{"the server sent nothing for 50ms"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, c, packages := serveBash(t)
			f.answer(bashPath, tt.answer)
			if strings.Contains(tt.want[0], "50ms") {
				c.Client.Stall = 50 * time.Millisecond
			}
			_, err := c.Fetch(testContext(t), packages, FetchOptions{})
			wantError(t, err, append(tt.want, "bash_5.2_amd64")...)
			if name != "404" {
				wantError(t, err, f.server.URL+bashPath)
			}
			if _, err := os.Stat(partialOf(c)); (err == nil) != tt.keeps || len(listing(t, c)) > 1 {
				t.Errorf("left in the cache: %q", listing(t, c))
			}
			f.answer(bashPath, nil)
			c.Client.Stall = 0
			paths, err := c.Fetch(testContext(t), packages, FetchOptions{})
			if err != nil {
				t.Fatal(err)
			}
			wantBash(t, c, paths)
			if resumed := strings.Contains(fmt.Sprint(f.requests(bashPath)), "bytes=4096-"); resumed != tt.keeps {
				t.Errorf("resumed: %v, want %v", resumed, tt.keeps)
			}
		})
	}
}

// What breaks and then works is no error, and costs no byte twice.
func TestFetchRetries(t *testing.T) {
	tests := map[string]struct {
		first http.HandlerFunc
		want  []string
	}{
		"server error":  {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, []string{bashPath, bashPath}},
		"broken off":    {send(bash.bytes()[:4096], false), []string{bashPath, bashPath + " bytes=4096-"}},
		"ended early":   {send(bash.bytes()[:4096], true), []string{bashPath, bashPath + " bytes=4096-"}},
		"no connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []string{bashPath, bashPath}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, c, packages := serveBash(t)
			f.answer(bashPath, func(w http.ResponseWriter, r *http.Request) {
				f.answer(bashPath, nil)
				tt.first(w, r)
			})
			paths, err := c.Fetch(testContext(t), packages, FetchOptions{})
			if err != nil {
				t.Fatal(err)
			}
			wantBash(t, c, paths)
			if diff := cmp.Diff(tt.want, f.requests(bashPath)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFetchContinuesPartial(t *testing.T) {
	whole := bash.bytes()
	tests := map[string]struct {
		partial []byte
		answer  http.HandlerFunc
		asks    []string
	}{
		"half":             {whole[:30000], nil, []string{bashPath + " bytes=30000-"}},
		"whole":            {whole, nil, nil},
		"wrong half":       {make([]byte, 30000), nil, []string{bashPath + " bytes=30000-", bashPath}},
		"wrong whole":      {make([]byte, len(whole)), nil, []string{bashPath}},
		"too long":         {make([]byte, len(whole)+1), nil, []string{bashPath}},
		"server of wholes": {whole[:30000], send(whole, true), []string{bashPath + " bytes=30000-"}},
		"server without ranges": {whole[:30000], func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			w.Write(whole)
		}, []string{bashPath + " bytes=30000-", bashPath}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, c, packages := serveBash(t)
			f.answer(bashPath, tt.answer)
			if err := os.MkdirAll(filepath.Dir(partialOf(c)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(partialOf(c), tt.partial, 0o644); err != nil {
				t.Fatal(err)
			}
			var last Progress
			paths, err := c.Fetch(testContext(t), packages, FetchOptions{Progress: func(p Progress) { last = p }})
			if err != nil {
				t.Fatal(err)
			}
			wantBash(t, c, paths)
			if diff := cmp.Diff(tt.asks, f.requests(bashPath)); diff != "" {
				t.Error(diff)
			}
			if last.Done != last.Total {
				t.Errorf("progress ended at %d of %d bytes", last.Done, last.Total)
			}
		})
	}
}

// fullDisk takes some bytes, then has no room.
type fullDisk struct {
	out  io.Writer
	room int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) <= d.room {
		d.room -= len(p)
		return d.out.Write(p)
	}
	n, err := d.out.Write(p[:d.room])
	d.room = 0
	if err == nil {
		err = &os.PathError{Op: "write", Path: "the file", Err: syscall.ENOSPC}
	}
	return n, err
}

func TestFetchFullDisk(t *testing.T) {
	f, c, packages := serveBash(t)
	c.Client.wrap = func(w io.Writer) io.Writer { return &fullDisk{w, 30000} }
	_, err := c.Fetch(testContext(t), packages, FetchOptions{})
	wantError(t, err, "bash_5.2_amd64", "writing to the cache", "no space left on device", "needs 35543 more bytes")
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error("the cause is lost")
	}
	if diff := cmp.Diff([]string{filepath.Base(partialOf(c))}, listing(t, c)); diff != "" {
		t.Error(diff)
	}
	c.Client.wrap = nil
	f.requests("")
	paths, err := c.Fetch(testContext(t), packages, FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantBash(t, c, paths)
	if diff := cmp.Diff([]string{bashPath + " bytes=30000-"}, f.requests("")); diff != "" {
		t.Error(diff)
	}
}

// An interrupted run keeps what it has, whole files and parts.
func TestFetchInterrupted(t *testing.T) {
	f, c, packages := serveBash(t)
	first := fakePackage{name: "adduser", version: "3"}
	f.put("/debian/"+first.path(), first.bytes())
	packages = append([]lock.Package{first.locked(Main, "image")}, packages...)
	c.Client.Parallel = 1
	ctx, cancel := context.WithCancel(testContext(t))
	f.answer(bashPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "65543")
		w.Write(bash.bytes()[:4096])
		if err := http.NewResponseController(w).Flush(); err == nil {
			<-r.Context().Done()
		}
	})
	_, err := c.Fetch(ctx, packages, FetchOptions{Progress: func(p Progress) {
		if p.Done >= int64(len(first.bytes()))+4096 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the cancelling", err)
	}
	f.answer(bashPath, nil)
	f.requests("")
	if _, err := c.Fetch(testContext(t), packages, FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{bashPath + " bytes=4096-"}, f.requests("")); diff != "" {
		t.Error(diff)
	}
}

// Many processes may share a cache; here each is a Fetch of its own.
func TestFetchAtTheSameTime(t *testing.T) {
	f, c, packages := serveBash(t)
	const runs = 4
	var arrived atomic.Int32
	together := make(chan struct{})
	f.answer(bashPath, func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == runs {
			close(together)
		}
		select {
		case <-together:
		case <-r.Context().Done():
			return
		}
		w.Write(bash.bytes())
	})
	var wait sync.WaitGroup
	for range runs {
		wait.Go(func() {
			if _, err := c.Fetch(testContext(t), packages, FetchOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	wantBash(t, c, map[string]string{hashOf(bash.bytes()): filepath.Join(c.Dir, "packages", hashOf(bash.bytes())+".deb")})
}

func TestFetchVerify(t *testing.T) {
	f, c, packages := serveBash(t)
	paths, err := c.Fetch(testContext(t), packages, FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for damage, options := range map[string]FetchOptions{"short": {}, strings.Repeat("x", len(bash.bytes())): {Verify: true}} {
		if err := os.WriteFile(paths[packages[0].SHA256], []byte(damage), 0o644); err != nil {
			t.Fatal(err)
		}
		f.requests("")
		if _, err := c.Fetch(testContext(t), packages, options); err != nil {
			t.Fatal(err)
		}
		wantBash(t, c, paths)
		if len(f.requests("")) != 1 {
			t.Error("a damaged file was not fetched again")
		}
	}
}

func TestFetchFromFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "debian", bash.path())
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bash.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	c := Cache{Dir: t.TempDir(), Client: Client{Mirror: Addresses("file://"+dir+"/debian", "", nil)}}
	paths, err := c.Fetch(testContext(t), []lock.Package{bash.locked(Main)}, FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantBash(t, c, paths)
	_, err = c.Fetch(testContext(t), []lock.Package{{Name: "no", Version: "1", Architecture: "all", Archive: Main, Path: "no", Size: 1, SHA256: hashOf(nil)}}, FetchOptions{})
	wantError(t, err, "fetching no_1_all: the archive does not have it")
}

func TestFetchRefusesBadLocks(t *testing.T) {
	_, c, packages := serveBash(t)
	tests := map[string]func(*lock.Package){
		"is not a path below":       func(p *lock.Package) { p.Path = "../etc/passwd" },
		"is not a SHA-256":          func(p *lock.Package) { p.SHA256 = "../../x" },
		`no archive named "ubuntu"`: func(p *lock.Package) { p.Archive = "ubuntu" },
	}
	for want, spoil := range tests {
		bad := packages[0]
		spoil(&bad)
		_, err := c.Fetch(testContext(t), []lock.Package{bad}, FetchOptions{})
		wantError(t, err, want)
	}
}

func TestFetchHidesPasswords(t *testing.T) {
	f, c, packages := serveBash(t)
	f.answer(bashPath, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" || r.UserAgent() != "wellcar" {
			t.Errorf("asked as %q, %q by %q", user, password, r.UserAgent())
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	c.Client.Mirror.Debian = strings.Replace(c.Client.Mirror.Debian, "http://", "http://me:secret@", 1)
	_, err := c.Fetch(testContext(t), packages, FetchOptions{})
	wantError(t, err, "401 Unauthorized")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password is shown: %v", err)
	}
}
