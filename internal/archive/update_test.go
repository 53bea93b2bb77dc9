package archive

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/lock"
)

// publishAll puts a small release into the archive.
func publishAll(f *fakeArchive) (libc, openssl, ssh fakePackage) {
	suites := Suites(Release)
	libc = fakePackage{name: "libc6", version: "2.41-12"}
	openssl = fakePackage{name: "openssl", version: "3.5.4-1+deb13u1", fields: "Depends: libc6, libssl3t64 (>= 3.5.4)"}
	ssh = fakePackage{name: "openssh-server", version: "1:10.0", fields: "Source: openssh (1:10.0-1)\nDepends: libc6 (>= 2.38)"}
	f.publish(suites[0], libc, ssh,
		fakePackage{name: "openssl", version: "3.5.1-1", fields: "Depends: libc6, libssl3t64 (>= 3.5.1)"},
		fakePackage{name: "libssl3t64", version: "3.5.1-1", fields: "Source: openssl\nDepends: libc6"})
	f.publish(suites[2], libc, openssl, fakePackage{name: "libssl3t64", version: "3.5.4-1+deb13u1", fields: "Source: openssl\nDepends: libc6"})
	return libc, openssl, ssh
}

func testLock(t testing.TB, f *fakeArchive, c Cache) lock.Lock {
	t.Helper()
	l, err := UpdateLock(testContext(t), Options{Cache: c, Want: map[string][]string{"tools": {"openssl"}, "image": {"openssh-server"}}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestUpdateLock(t *testing.T) {
	f := newFake(t)
	c := f.cache(t)
	libc, openssl, ssh := publishAll(f)
	got := testLock(t, f, c)
	libssl := fakePackage{name: "libssl3t64", version: "3.5.4-1+deb13u1"}.locked(Security, "tools")
	libssl.Source = "openssl"
	server := ssh.locked(Main, "image")
	server.Source = "openssh"
	want := lock.Lock{Version: 1, Architecture: "amd64", Packages: []lock.Package{
		libc.locked(Main, "image", "tools"), libssl, server, openssl.locked(Security, "tools"),
	}}
	for _, s := range Suites(Release) {
		s.Date = "2026-01-15T09:00:00Z"
		s.SHA256 = hashOf(f.files["/"+s.Archive+"/dists/"+s.Name+"/InRelease"])
		want.Suites = append(want.Suites, s)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	f.requests("")
	if diff := cmp.Diff(got, testLock(t, f, c)); diff != "" {
		t.Errorf("the second lock differs: %s", diff)
	}
	if again := f.requests("Packages"); again != nil {
		t.Errorf("unchanged indexes were asked for again: %q", again)
	}
}

func TestUpdateLockSaysWhatIsMissing(t *testing.T) {
	f := newFake(t)
	publishAll(f)
	_, err := UpdateLock(testContext(t), Options{Cache: f.cache(t), Want: map[string][]string{"image": {"nothing"}}})
	wantError(t, err, "resolving the wanted packages: nothing provides nothing")
}

func TestTamperedIndex(t *testing.T) {
	f := newFake(t)
	publishAll(f)
	var path string
	for name, data := range f.files {
		if strings.HasPrefix(name, "/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/") && len(data) > 40 {
			path = name
			f.answer(name, send(append([]byte("x"), data[1:]...), true))
		}
	}
	_, _, err := f.cache(t).LoadIndex(testContext(t), Suites(Release), "amd64", FetchOptions{})
	wantError(t, err, "the index main/binary-amd64/Packages.gz of trixie", path, "it is not the expected file", "the InRelease file says")
}

func TestIndexWithoutByHash(t *testing.T) {
	f := newFake(t)
	f.plain = true
	for _, s := range Suites(Release) {
		f.publish(s, bash)
	}
	for name := range f.files {
		if strings.Contains(name, "by-hash") {
			f.remove(name)
		}
	}
	c := f.cache(t)
	index, _, err := c.LoadIndex(testContext(t), Suites(Release), "amd64", FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if index.packages["bash"] == nil {
		t.Error("bash is not in the index")
	}
	f.remove("/debian/dists/trixie/main/binary-amd64/Packages.gz")
	c.Dir = t.TempDir()
	_, _, err = c.LoadIndex(testContext(t), Suites(Release)[:1], "amd64", FetchOptions{})
	wantError(t, err, "the index main/binary-amd64/Packages.gz of trixie", "/debian/dists/trixie/main/binary-amd64/Packages.gz", "the archive does not have it")
}

func TestIndexXZ(t *testing.T) {
	data, err := os.ReadFile("testdata/Packages.xz")
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	f.publishIndex(Suites(Release)[0], "main/binary-amd64/Packages.xz", data)
	index, _, err := f.cache(t).LoadIndex(testContext(t), Suites(Release)[:1], "amd64", FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hello := index.packages["hello"]
	if hello == nil || hello.Version != "2.10-5" || hello.Depends != "libc6 (>= 2.34),\nlibtiny" || index.packages["foreign"] != nil {
		t.Errorf("got %+v and %v", hello, index.packages["foreign"])
	}
}

func TestIndexRefusals(t *testing.T) {
	good := bash.stanza()
	tests := map[string]string{
		"line 1 has no colon":         "Package",
		"line 1 continues no field":   " x",
		`"many" is not a size`:        strings.Replace(good, "Size: ", "Size: many\nX-Size: ", 1),
		"is not a path below":         strings.Replace(good, "Filename: ", "Filename: /../", 1),
		"is not a SHA-256":            strings.Replace(good, "SHA256: ", "SHA256: X", 1),
		"it lacks a name, a version":  strings.Replace(good, "Version", "X-Version", 1),
		`reading the version "other"`: good + strings.Replace(good, "Version: 5.2", "Version: other", 1),
	}
	for want, text := range tests {
		x := &Index{packages: map[string]*Package{}}
		wantError(t, x.add(strings.NewReader(text), Main, "amd64"), want)
	}
}

func TestFetchLocked(t *testing.T) {
	f := newFake(t)
	publishAll(f)
	l := testLock(t, f, f.cache(t))
	c := f.cache(t)
	got, err := c.FetchLocked(testContext(t), l, []string{"image"}, Require, FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Paths) != 2 || got.Replaced != nil {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(l, got.Lock); diff != "" {
		t.Error(diff)
	}
}

func TestFetchLockedWhenGone(t *testing.T) {
	f := newFake(t)
	_, openssl, _ := publishAll(f)
	c := f.cache(t)
	l := testLock(t, f, c)
	groups := []string{"image", "tools"}
	f.remove("/debian-security/" + openssl.path())
	newer := fakePackage{name: "openssl", version: "3.5.5-1"}
	f.publish(Suites(Release)[2], newer, fakePackage{name: "libssl3t64", version: "3.5.5-1", fields: "Source: openssl"})

	_, err := c.FetchLocked(testContext(t), l, groups, Require, FetchOptions{})
	wantError(t, err, "openssl_3.5.4-1+deb13u1_amd64", "the archive does not have it any more", "`wellcar lock`")
	if !errors.Is(err, ErrNotFound) {
		t.Error("the cause is lost")
	}

	before := l.Packages[1].Version
	got, err := c.FetchLocked(testContext(t), l, groups, Prefer, FetchOptions{Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"libssl3t64 3.5.4-1+deb13u1 -> 3.5.5-1", "openssl 3.5.4-1+deb13u1 -> 3.5.5-1"}
	if diff := cmp.Diff(want, got.Replaced); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(newer.locked(Security, "tools"), got.Lock.Packages[3]); diff != "" {
		t.Error(diff)
	}
	if l.Packages[1].Version != before || len(got.Paths) != 4 || got.Paths[got.Lock.Packages[3].SHA256] == "" {
		t.Errorf("the lock as given: %v; paths: %v", l.Packages[1], got.Paths)
	}

	f.publish(Suites(Release)[2])
	f.publish(Suites(Release)[0])
	c.Dir = t.TempDir()
	_, err = c.FetchLocked(testContext(t), l, groups, Prefer, FetchOptions{})
	wantError(t, err, "it has no other version of openssl_3.5.4-1+deb13u1_amd64", "`wellcar lock`")
}

func TestPolicy(t *testing.T) {
	for _, p := range []Policy{Prefer, Require} {
		if got, err := ParsePolicy(p.String()); err != nil || got != p {
			t.Errorf("%v became %v, %v", p, got, err)
		}
	}
	_, err := ParsePolicy("maybe")
	wantError(t, err, `"maybe"`, "neither prefer nor require")
}

// The proxy variables are read once in a process, hence a process of its own.
func TestProxyVariables(t *testing.T) {
	const asked = "http://archive.invalid/debian/dists/trixie/InRelease"
	if os.Getenv("ARCHIVE_TEST_PROXY") != "" {
		c := Client{Attempts: 1}
		data, err := c.get(testContext(t), asked, 100)
		if err != nil || string(data) != "by proxy" {
			t.Fatalf("got %q, %v", data, err)
		}
		return
	}
	seen := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.URL.String()
		w.Write([]byte("by proxy"))
	}))
	defer proxy.Close()
	cmd := exec.CommandContext(testContext(t), os.Args[0], "-test.run=^TestProxyVariables$")
	cmd.Env = append(os.Environ(), "ARCHIVE_TEST_PROXY=1", "http_proxy="+proxy.URL, "no_proxy=", "NO_PROXY=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if seen != asked {
		t.Errorf("the proxy was asked for %q", seen)
	}
}
