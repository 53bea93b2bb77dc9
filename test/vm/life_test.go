package vm_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"testing"

	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/test/disk"
)

const gib = 1 << 30

// TestBootLife follows one disk: the first boot from the image, then a boot
// after the disk has grown and lost its root file system.
func TestBootLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	name := r.copyImage()
	first := r.firstLife(name)
	at, size, err := disk.Place(first, layout.Root)
	r.must(err)
	r.must(disk.Overwrite(name, at, make([]byte, 1<<20)))
	second := r.secondLife(name)
	if first.DiskGUID != second.DiskGUID {
		t.Errorf("the disk GUID changed on the second boot from %v to %v", first.DiskGUID, second.DiskGUID)
	}
	if _, grown, err := disk.Place(second, layout.Root); err != nil || grown != size+2*gib {
		t.Errorf("ROOT has %d bytes after the disk grew by 2 GiB, had %d (%v)", grown, size, err)
	}
}

var (
	guid      = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
	machineID = check{"machine id", "cat /etc/machine-id", `[0-9a-f]{32}`, 0}
	noFailed  = check{"failed units", "systemctl list-units --failed --plain --no-legend", ``, 0}
)

// rootSize is a check of the room in /, in bytes.
func rootSize(least int64) check {
	return check{"size of ROOT", fmt.Sprintf(`size=$(findmnt --noheadings --bytes --output SIZE /); [ "$size" -gt %d ] || echo "$size"`, least), ``, 0}
}

// firstLife is the first boot, on a disk of 12 GiB. It returns the partition
// table that the boot left.
func (r *rig) firstLife(name string) gpt.Table {
	vm := r.start(qemu.Machine{Image: name, Persist: true, DiskSize: 12 * gib, FwCfg: map[string][]byte{configName: r.keyConfig()}})
	client, err := vm.SSH(r.ctx, "core", r.key, 0)
	r.must(err)
	r.overSSH(client, []check{
		{"verity", "sudo veritysetup status usr", `.*type: +VERITY\n +status: +verified\n.*data device: +/dev/vda3\n.*mode: +readonly.*`, 0},
		{"writing to /usr", "sudo touch /usr/mine", `.*: Read-only file system`, 1},
		{"writing to USR-A's device", "sudo dd if=/dev/zero of=/dev/mapper/usr bs=4096 count=1 conv=fsync", `.*(Operation not permitted|Read-only file system).*`, 1},
		{"disk GUID", "lsblk --nodeps --noheadings --output PTUUID /dev/vda", guid, 0},
		machineID,
		rootSize(5 * gib),
		{"first-boot flag", "sudo test -e /boot/flatcar/first_boot", ``, 1},
		{"the automount", "sudo ls /boot/EFI/BOOT", `BOOTX64.EFI`, 0},
		noFailed,
		{"flushing", "sync", ``, 0},
	})
	client.Close()
	r.must(vm.Close())
	table := r.wholeDisk(name, 12*gib)
	if image, err := disk.Table(r.image); err != nil || table.DiskGUID == image.DiskGUID || !regexp.MustCompile("^"+guid+"$").MatchString(table.DiskGUID.String()) {
		r.Errorf("the disk GUID is %v, the image has %v (%v)", table.DiskGUID, image.DiskGUID, err)
	}
	r.flagGone(name, table)
	return table
}

// secondLife boots a disk of 14 GiB without a root file system.
func (r *rig) secondLife(name string) gpt.Table {
	vm := r.start(qemu.Machine{Image: name, Persist: true, DiskSize: 14 * gib, KernelArgs: []string{"flatcar.autologin"}})
	r.says(vm, 0, `wellcar-init: vda: table grown from 12288 to 14336 MiB, partition 9 grown to \d+ MiB`)
	r.says(vm, 0, `wellcar-init: there is no root file system: making a new one on vda9; .*flatcar\.first_boot=1`)
	r.onConsole(vm, []check{
		rootSize(7 * gib),
		machineID,
		{"its own GUID", "lsblk --nodeps --noheadings --output PTUUID /dev/vda", guid, 0},
		{"provisioning", "wellcard report", `This boot provisioned nothing.*`, 0},
		{"the key", "test -e .ssh/authorized_keys.d || test -e .ssh/authorized_keys", ``, 1},
		noFailed,
		{"flushing", "sync", ``, 0},
	})
	r.must(vm.Close())
	return r.wholeDisk(name, 14*gib)
}

// wholeDisk checks that both copies of the table are good and that ROOT
// reaches the end of the disk.
func (r *rig) wholeDisk(name string, size int64) gpt.Table {
	r.Helper()
	f, err := os.Open(name)
	r.must(err)
	defer f.Close()
	if primary, backup := gpt.Damage(f, size, layout.SectorSize); primary != nil || backup != nil {
		r.Errorf("the table is damaged: primary %v, backup %v", primary, backup)
	}
	table, err := disk.Table(name)
	r.must(err)
	if table.Sectors != uint64(size/layout.SectorSize) {
		r.Errorf("the table is for %d sectors, the disk has %d", table.Sectors, size/layout.SectorSize)
	}
	if root, _ := table.Partition(layout.Root); table.LastUsable()-root.Last > 1<<20/layout.SectorSize {
		r.Errorf("ROOT ends at sector %d, the usable ones at %d", root.Last, table.LastUsable())
	}
	return table
}

// flagGone looks at the EFI system partition from outside.
func (r *rig) flagGone(name string, table gpt.Table) {
	r.Helper()
	at, size, err := disk.Place(table, layout.ESP)
	r.must(err)
	f, err := os.Open(name)
	r.must(err)
	defer f.Close()
	files, err := fat.Open(io.NewSectionReader(f, at, size))
	r.must(err)
	for _, flag := range layout.FirstBootFlags {
		if _, err := files.ReadFile(flag); !errors.Is(err, fs.ErrNotExist) {
			r.Errorf("%s is still there: %v", flag, err)
		}
	}
}
