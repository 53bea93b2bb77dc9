//go:build linux

package blockdev

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUses(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/self/mountinfo":                 "30 1 8:9 / / rw - ext4 /dev/sda9 rw\n31 30 8:9 /var/lib /mnt/x rw - ext4 /dev/sda9 rw\n32 30 0:40 / /data\\040dir rw shared:2 - btrfs /dev/sdb1 rw\n",
		"proc/swaps":                          "Filename Type Size Used Priority\n/dev/sdb2 partition 1 0 -2\n",
		"sys/class/block/sdb3/holders/md":     "",
		"sys/class/block/sdb4/holders/dm-0/x": "", "sys/class/block/dm-0/dm/name": "data\n",
	} {
		p := filepath.Join(root, name)
		if filepath.Base(p) == "md" {
			p += "127/x"
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	u, err := ReadUses(filepath.Join(root, "sys"), filepath.Join(root, "proc"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"sda9": "mounted on /", "sdb1": "mounted on /data dir", "sdb2": "used as swap", "sdb3": "used by md127", "sdb4": "used by /dev/mapper/data", "sdb5": "",
	} {
		d := Device{Name: name, Path: "/dev/" + name}
		if name == "sda9" {
			d.Number = "8:9"
		}
		if got := u.Of(d); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
