//go:build linux

package blockdev

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// sysfs makes a tree as the kernel's: class/block holds links to devices.
func sysfs(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	class := filepath.Join(root, "class/block")
	if err := os.MkdirAll(class, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		p := filepath.Join(root, "devices", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "uevent" {
			dir := filepath.Dir(name)
			if err := os.Symlink("../../devices/"+dir, filepath.Join(class, filepath.Base(dir))); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestList(t *testing.T) {
	root := sysfs(t, map[string]string{
		"pci/sdaa/uevent": "MAJOR=65\nMINOR=160\nDEVNAME=sdaa\nDEVTYPE=disk\n", "pci/sdaa/size": "8\n", "pci/sdaa/ro": "0\n", "pci/sdaa/queue/logical_block_size": "4096\n",
		"pci/sdb/uevent": "MAJOR=8\nMINOR=16\nDEVNAME=sdb\nDEVTYPE=disk\n", "pci/sdb/size": "2048\n", "pci/sdb/ro": "1\n", "pci/sdb/queue/logical_block_size": "512\n",
		"pci/sdb/sdb10/uevent": "MAJOR=8\nMINOR=26\nDEVNAME=sdb10\nDEVTYPE=partition\nPARTN=10\n", "pci/sdb/sdb10/size": "2\n", "pci/sdb/sdb10/start": "6\n", "pci/sdb/sdb10/ro": "0\n",
		"pci/sdb/sdb9/uevent": "MAJOR=8\nMINOR=25\nDEVNAME=sdb9\nDEVTYPE=partition\nPARTN=9\nPARTNAME=ROOT\nPARTUUID=ab-cd\n", "pci/sdb/sdb9/size": "4\n", "pci/sdb/sdb9/start": "2\n", "pci/sdb/sdb9/ro": "0\n",
		"loop0/uevent": "MAJOR=7\nMINOR=0\nDEVNAME=loop0\nDEVTYPE=disk\n", "loop0/size": "0\n", "loop0/ro": "0\n", "loop0/queue/logical_block_size": "512\n",
	})
	got, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []Device{
		{Name: "sdb", Path: "/dev/sdb", Number: "8:16", Size: 1 << 20, SectorSize: 512, ReadOnly: true},
		{Name: "sdb9", Path: "/dev/sdb9", Number: "8:25", Disk: "sdb", Partition: 9, PartName: "ROOT", PartUUID: "ab-cd", Start: 1024, Size: 2048, SectorSize: 512},
		{Name: "sdb10", Path: "/dev/sdb10", Number: "8:26", Disk: "sdb", Partition: 10, Start: 3072, Size: 1024, SectorSize: 512},
		{Name: "sdaa", Path: "/dev/sdaa", Number: "65:160", Size: 4096, SectorSize: 4096},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListWithoutDevices(t *testing.T) {
	if got, err := List(t.TempDir()); len(got) != 0 || err != nil {
		t.Errorf("List = %v, %v; want nothing", got, err)
	}
}

func TestStructuresHaveTheKernelsSize(t *testing.T) {
	if n := unsafe.Sizeof(blkpgPartition{}); n != 152 {
		t.Errorf("struct blkpg_partition has %d bytes, the kernel's 152", n)
	}
	if n := unsafe.Sizeof(blkpgIoctlArg{}); n != 24 {
		t.Errorf("struct blkpg_ioctl_arg has %d bytes, the kernel's 24", n)
	}
}
