package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
)

// SlotSize is that of the slots of a machine, bytes.
const SlotSize = 2 << 20

// ID is the machine id of all of them.
const ID = "0123456789abcdef0123456789abcdef"

// Make makes a machine of files: what the kernel shows, two slots, the EFI
// system partition. It runs an image in slot A, where it is good.
func Make(t *testing.T, running Image) (root string) {
	t.Helper()
	root = t.TempDir()
	class := filepath.Join(root, "sys/class/block")
	if err := os.MkdirAll(class, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, about := range map[string]string{"vda": "DEVTYPE=disk\nDEVNAME=vda\n", "vda/vda3": "DEVTYPE=partition\nDEVNAME=vda3\nPARTN=3\n", "vda/vda4": "DEVTYPE=partition\nDEVNAME=vda4\nPARTN=4\n", "dm-0": "DEVTYPE=disk\nDEVNAME=dm-0\n"} {
		Write(t, root, "sys/devices/"+dir+"/uevent", []byte("MAJOR=1\nMINOR=2\n"+about))
		Write(t, root, "sys/devices/"+dir+"/size", fmt.Append(nil, SlotSize/512, "\n"))
		Write(t, root, "sys/devices/"+dir+"/ro", []byte("0\n"))
		Write(t, root, "sys/devices/"+dir+"/start", []byte("0\n"))
		if !strings.Contains(dir, "/") {
			Write(t, root, "sys/devices/"+dir+"/queue/logical_block_size", []byte("512\n"))
		}
		Link(t, root, filepath.Base(dir), dir)
	}
	Write(t, root, "sys/devices/dm-0/dm/name", []byte("usr\n"))
	Write(t, root, "dev/vda3", append(bytes.Clone(running.Usr), make([]byte, SlotSize-len(running.Usr))...))
	Write(t, root, "dev/vda4", make([]byte, SlotSize))
	Write(t, root, "boot/EFI/Linux/wellcar-"+running.Version+".efi", running.UKI)
	Write(t, root, "etc/machine-id", []byte(ID+"\n"))
	Boot(t, root, slot.A, running, "boot-1")
	return root
}

// Link lets the kernel of a machine show a device.
func Link(t *testing.T, root, name, dir string) {
	t.Helper()
	if err := os.Symlink("../../devices/"+dir, filepath.Join(root, "sys/class/block", name)); err != nil {
		t.Fatal(err)
	}
}

// Boot makes a machine one that was started with an image in a slot.
func Boot(t *testing.T, root string, id slot.ID, running Image, bootID string) {
	t.Helper()
	slaves := filepath.Join(root, "sys/devices/dm-0/slaves")
	if err := os.RemoveAll(slaves); err != nil {
		t.Fatal(err)
	}
	partition := map[slot.ID]int{slot.A: layout.UsrA, slot.B: layout.UsrB}[id]
	Write(t, slaves, fmt.Sprintf("vda%d", partition), nil)
	Write(t, root, "proc/cmdline", fmt.Appendf(nil, "verity.usrhash=%x\n", running.Release.RootHash))
	Write(t, root, "proc/sys/kernel/random/boot_id", []byte(bootID+"\n"))
	Write(t, root, "usr/share/flatcar/release", []byte("FLATCAR_RELEASE_VERSION="+running.Version+"\nFLATCAR_RELEASE_BOARD=amd64-usr\n"))
	if err := os.RemoveAll(filepath.Join(root, "run")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
}
