//go:build linux

package initrd

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// put makes files from "name" to content; a content of "-> x" is a link, a
// name that ends in / is a directory.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		target, link := strings.CutPrefix(content, "-> ")
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, p); err == nil && rel != "." {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	return names
}

func TestCleanEtc(t *testing.T) {
	upper, lower := t.TempDir(), t.TempDir()
	put(t, lower, map[string]string{
		"same": "1", "changed": "1", "mode": "1", "link": "-> a", "otherlink": "-> a", "dir/same": "1", "emptied/x": "1",
		"kept/same": "1", "kept/other": "1", "kind": "1", "big": strings.Repeat("x", 100<<10), "big2": strings.Repeat("x", 100<<10),
	})
	put(t, upper, map[string]string{
		"same": "1", "changed": "2", "mode": "1", "link": "-> a", "otherlink": "-> b", "dir/same": "1", "emptied/": "",
		"kept/same": "1", "kept/mine": "1", "mine": "1", "own/": "", "kind": "-> 1",
		"big": strings.Repeat("x", 100<<10), "big2": strings.Repeat("x", 99<<10) + strings.Repeat("y", 1<<10),
	})
	if err := os.Chmod(filepath.Join(upper, "mode"), 0o600); err != nil {
		t.Fatal(err)
	}
	removed, err := CleanEtc(upper, lower)
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(removed)
	if diff := cmp.Diff([]string{"big", "dir", "dir/same", "emptied", "kept/same", "link", "same"}, removed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"big2", "changed", "kept", "kept/mine", "kind", "mine", "mode", "otherlink", "own"}, list(t, upper)); diff != "" {
		t.Error(diff)
	}
	if again, err := CleanEtc(upper, lower); len(again) != 0 || err != nil {
		t.Errorf("a second time: %v, %v", again, err)
	}
}

func TestCleanEtcCanBeTurnedOff(t *testing.T) {
	upper, lower := t.TempDir(), t.TempDir()
	put(t, lower, map[string]string{"same": "1"})
	put(t, upper, map[string]string{"same": "1", keepDuplicates: ""})
	if removed, err := CleanEtc(upper, lower); len(removed) != 0 || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
}

func TestCleanEtcWithoutALowerLayer(t *testing.T) {
	upper := t.TempDir()
	put(t, upper, map[string]string{"a/b": "1"})
	if removed, err := CleanEtc(upper, filepath.Join(upper, "none")); len(removed) != 0 || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
}

func TestWhiteouts(t *testing.T) {
	upper, lower := t.TempDir(), t.TempDir()
	put(t, lower, map[string]string{"passwd": "1", "motd": "1", "pam.d/": ""})
	for _, name := range []string{"passwd", "motd", "pam.d"} {
		if err := unix.Mknod(filepath.Join(upper, name), unix.S_IFCHR, 0); err != nil {
			t.Skipf("making a whiteout: %v", err)
		}
	}
	removed, err := CleanEtc(upper, lower)
	sort.Strings(removed)
	if diff := cmp.Diff([]string{"pam.d", "passwd"}, removed); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestRemoveBlankMachineID(t *testing.T) {
	for content, gone := range map[string]bool{"": true, "\n": true, blankMachineID + "\n": true, "0123\n": false, "uninitialized\n": false} {
		dir := t.TempDir()
		put(t, dir, map[string]string{"machine-id": content})
		if err := removeBlankMachineID(dir); err != nil {
			t.Error(err)
		}
		if left := len(list(t, dir)); (left == 0) != gone {
			t.Errorf("%q: %d files left", content, left)
		}
	}
	if err := removeBlankMachineID(t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestMakeSkeleton(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"bin": "mine", "srv/": ""})
	if err := makeSkeleton(root); err != nil {
		t.Fatal(err)
	}
	if err := makeSkeleton(root); err != nil {
		t.Fatal("a second time:", err)
	}
	for name, want := range map[string]fs.FileMode{"root": 0o700 | fs.ModeDir, "tmp": 0o777 | fs.ModeSticky | fs.ModeDir, "bin": 0o644} {
		if info, err := os.Lstat(filepath.Join(root, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if target, err := os.Readlink(filepath.Join(root, "sbin")); target != "usr/sbin" || err != nil {
		t.Errorf("sbin -> %q, %v", target, err)
	}
}
