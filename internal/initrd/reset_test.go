//go:build linux

package initrd

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"wellcar.dev/internal/layout"
)

func TestResetTree(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"etc/ssh/ssh_host_key", "etc/ssh/config", "etc/hostname", "var/log/a/b", "var/lib/c", "opt/d", "lost+found/e", "flatcar-backup/f", layout.ResetFile, "usr/g"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(root, "opt/link")); err != nil {
		t.Fatal(err)
	}
	rule, err := layout.ParseKeepRule("/etc/ssh/ssh_host_.*|/var/log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resetTree(root, "", rule); err != nil {
		t.Fatal(err)
	}
	var left []string
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		left = append(left, strings.TrimPrefix(path, root))
		return err
	})
	sort.Strings(left)
	const want = " /etc /etc/ssh /etc/ssh/ssh_host_key /flatcar-backup /flatcar-backup/f /selective-os-reset /var /var/log /var/log/a /var/log/a/b"
	if got := strings.Join(left, " "); err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}
