//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestPartedFlags(t *testing.T) {
	got := parted([]string{"-sd", "-i", "--", "-dsx", "-", "/usr"})
	if diff := cmp.Diff([]string{"-s", "-d", "-i", "--", "-dsx", "-", "/usr"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestDeviceOfBtrfs: the number of a file is none that a device has, and the
// mount says what it was mounted from.
func TestDeviceOfBtrfs(t *testing.T) {
	dir := t.TempDir()
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID, &st); err != nil {
		t.Fatal(err)
	}
	device, named := filepath.Join(dir, "dm-7"), filepath.Join(dir, "rootencrypted")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(device, named); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ source, want string }{
		"a device":     {device, "dm-7"},
		"a name of it": {named, "dm-7"},
		"no device":    {"tmpfs", ""},
		"one gone":     {device + "1", ""},
	} {
		mountinfo := filepath.Join(t.TempDir(), "mountinfo")
		text := fmt.Sprintf("1%d 1 0:30 / / rw - btrfs /dev/other rw\n%d 1 0:31 /root / rw,relatime shared:1 - btrfs %s rw,subvol=/root\n", st.Mnt_id, st.Mnt_id, c.source)
		if err := os.WriteFile(mountinfo, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := deviceOf(t.TempDir(), mountinfo, dir)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
