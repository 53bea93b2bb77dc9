package build_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"wellcar.dev/internal/qemu"
)

// nobody is who builds elsewhere, if the tests run as root.
const nobody = 65534

// elsewhere is a place that has nothing in common with the repository's but
// the packages: other folders, home, cache, umask, locale, time zone, file
// times, and another user where that is possible. It has no network.
type elsewhere struct {
	dir string // holds bin, image, home, cache
}

func newElsewhere(t *testing.T, dir string) elsewhere {
	t.Helper()
	w := elsewhere{filepath.Join(dir, "another place")}
	for _, sub := range []string{"bin", "image"} {
		if err := os.CopyFS(filepath.Join(w.dir, sub), os.DirFS(filepath.Join(root, sub))); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"home", "cache/packages"} {
		if err := os.MkdirAll(filepath.Join(w.dir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	packages := filepath.Join(cacheFolder(t), "packages")
	entries, err := os.ReadDir(packages)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".deb" {
			continue
		}
		if err := linkOrCopy(filepath.Join(w.dir, "cache/packages", e.Name()), filepath.Join(packages, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	w.handOver(t)
	return w
}

// handOver sets all times to one long ago and gives the place to its user.
func (w elsewhere) handOver(t *testing.T) {
	t.Helper()
	past := time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
	err := filepath.WalkDir(w.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) == ".deb" || d.Type() == fs.ModeSymlink {
			return err // packages are the cache's
		}
		if os.Getuid() == 0 {
			if err := os.Chown(name, nobody, nobody); err != nil {
				return err
			}
		}
		return os.Chtimes(name, past, past)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// command is a run of wellcar there.
func (w elsewhere) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program := qemu.Quote(filepath.Join(w.dir, "bin/wellcar"))
	line := "umask 077; exec " + program
	for _, a := range args {
		line += " " + qemu.Quote(a)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
	cmd.Dir = w.dir
	cmd.Env = []string{
		"HOME=" + filepath.Join(w.dir, "home"), "WELLCAR_CACHE=" + filepath.Join(w.dir, "cache"), "USER=another", "PATH=/nowhere",
		"TZ=Pacific/Chatham", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "SOURCE_DATE_EPOCH=1", "GOMAXPROCS=3",
		"WELLCAR_ARCHIVE=http://127.0.0.1:9/debian,http://127.0.0.1:9/debian-security",
	}
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// cacheFolder is where wellcar keeps packages for the user of the tests.
func cacheFolder(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("WELLCAR_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "wellcar")
}

func linkOrCopy(to, from string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
