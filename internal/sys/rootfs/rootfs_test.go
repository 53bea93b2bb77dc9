//go:build linux

package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T) (*Root, string) {
	t.Helper()
	outer := t.TempDir()
	dir := filepath.Join(outer, "root")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func keep() Meta { return Meta{Perm: 0o640, UID: Unset, GID: Unset} }

func TestWriteFileReplacesAtOnce(t *testing.T) {
	r, dir := open(t)
	must(t, r.MkdirAll("/etc/a/b", 0o755))
	must(t, r.Symlink("/dev/null", "/etc/a/b/f"))
	must(t, r.WriteFile("/etc/a/b/f", []byte("hello"), keep()))
	i, err := r.Lstat("/etc/a/b/f")
	must(t, err)
	if !i.Regular() || i.Perm != 0o640 || i.Size != 5 {
		t.Errorf("got %+v", i)
	}
	names, err := r.ReadDir("/etc/a/b")
	must(t, err)
	if diff := cmp.Diff([]string{"f"}, names); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "etc/a/b/f")); err != nil {
		t.Error(err)
	}
}

func TestSync(t *testing.T) {
	r, _ := open(t)
	must(t, r.MkdirAll("/etc", 0o755))
	m := keep()
	m.Sync = true
	must(t, r.WriteFile("/etc/f", []byte("x"), m))
	must(t, r.Symlink("/dev/null", "/etc/l"))
	must(t, r.Sync("/etc", "/etc/f", "/etc/l", "/none/at/all", "/etc/f/below"))
}

func TestNoWayOut(t *testing.T) {
	r, dir := open(t)
	must(t, os.Mkdir(filepath.Join(dir, "..", "outside"), 0o755))
	for _, target := range []string{"../../outside", "/../outside", "../../../../../../outside"} {
		must(t, r.RemoveAll("/link"))
		must(t, r.Symlink(target, "/link"))
		must(t, r.MkdirAll("/link", 0o755))
		must(t, r.WriteFile("/link/f", []byte("x"), keep()))
		if _, err := os.Stat(filepath.Join(dir, "outside/f")); err != nil {
			t.Errorf("link to %s: %v", target, err)
		}
		must(t, r.RemoveAll("/outside"))
	}
	left, err := os.ReadDir(filepath.Join(dir, "..", "outside"))
	must(t, err)
	if len(left) != 0 {
		t.Errorf("written outside of the root: %v", left)
	}
	must(t, r.WriteFile("/../../../f", []byte("x"), keep()))
	if _, err := r.Lstat("/f"); err != nil {
		t.Error(err)
	}
}

func TestResolve(t *testing.T) {
	r, _ := open(t)
	must(t, r.MkdirAll("/usr/lib", 0o755))
	must(t, r.Symlink("usr/lib", "/lib"))
	must(t, r.Symlink("/run", "/gone"))
	must(t, r.Symlink("/loop", "/loop"))
	for in, want := range map[string]string{
		"/lib/x": "/usr/lib/x", "/lib": "/lib", "/": "/", "/gone/a/b": "/run/a/b",
		"/usr/../lib/y": "/usr/lib/y", "/no/such/dir": "/no/such/dir",
	} {
		if got, err := r.Resolve(in); err != nil || got != want {
			t.Errorf("Resolve(%s) = %s, %v, want %s", in, got, err, want)
		}
	}
	if _, err := r.Resolve("/loop/x"); err == nil {
		t.Error("a loop resolved")
	}
	must(t, r.MkdirAll("/gone/a", 0o755))
	if i, err := r.Lstat("/run/a"); err != nil || !i.Dir() {
		t.Errorf("directory through a dangling link: %+v, %v", i, err)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	r, _ := open(t)
	must(t, r.WriteFile("/f", []byte("1"), keep()))
	must(t, r.Symlink("f", "/s"))
	if _, err := r.ReadFile("/s"); err == nil {
		t.Error("ReadFile followed a link")
	}
	if err := r.AppendFile("/s", []byte("2"), 0o644); err == nil {
		t.Error("AppendFile followed a link")
	}
	if err := r.Chmod("/s", 0o777); err == nil {
		t.Error("Chmod followed a link")
	}
	must(t, r.Link("/f", "/g"))
	must(t, r.AppendFile("/g", []byte("2"), 0o644))
	data, err := r.ReadFile("/f")
	must(t, err)
	if string(data) != "12" {
		t.Errorf("got %q", data)
	}
	a, _ := r.Lstat("/f")
	b, _ := r.Lstat("/g")
	if !a.Same(b) {
		t.Error("not one inode")
	}
}

func TestRemoveAll(t *testing.T) {
	r, _ := open(t)
	must(t, r.MkdirAll("/d/e", 0o755))
	must(t, r.WriteFile("/keep", nil, keep()))
	must(t, r.Symlink("/keep", "/d/e/l"))
	must(t, r.RemoveAll("/d"))
	must(t, r.RemoveAll("/d"))
	if _, err := r.Lstat("/d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Lstat("/keep"); err != nil {
		t.Error(err)
	}
}

func TestSpecialBitsSurviveOwner(t *testing.T) {
	r, _ := open(t)
	must(t, r.WriteFile("/s", nil, Meta{Perm: 0o4755, UID: os.Getuid(), GID: os.Getgid()}))
	if i, _ := r.Lstat("/s"); i.Perm != 0o4755 {
		t.Errorf("mode %o", i.Perm)
	}
}

func TestAs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user")
	}
	r, _ := open(t)
	must(t, r.Mkdir("/mine", 0o755))
	must(t, r.Chown("/mine", 500, 500))
	must(t, r.Mkdir("/theirs", 0o755))
	err := r.As(500, 500, func() error {
		must(t, r.WriteFile("/mine/f", []byte("x"), keep()))
		return r.WriteFile("/theirs/f", []byte("x"), keep())
	})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("writing as another user: %v", err)
	}
	if i, _ := r.Lstat("/mine/f"); i.UID != 500 || i.GID != 500 {
		t.Errorf("owner %d:%d", i.UID, i.GID)
	}
	must(t, r.WriteFile("/theirs/g", nil, keep()))
}
