package vm_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wellcar.dev/internal/format/crau"
	"wellcar.dev/internal/format/crau/crautest"
	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/image/publish"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// oldSizes are the partitions of a disk that Flatcar was installed on before
// October 2025, MiB.
var oldSizes = map[int]int64{layout.ESP: 128, layout.UsrA: 1024, layout.UsrB: 1024, layout.OEM: 128}

// part is a partition of a disk file as a file of its own.
type part struct {
	*os.File
	at int64
}

func (p part) ReadAt(b []byte, off int64) (int, error)  { return p.File.ReadAt(b, off+p.at) }
func (p part) WriteAt(b []byte, off int64) (int, error) { return p.File.WriteAt(b, off+p.at) }

// oldDisk lays out a disk as Flatcar does, with an old image of ours in its
// first slot, which the default loader starts, and a payload applied to the
// other as update_engine does.
func (r *rig) oldDisk(firmware qemu.Firmware, first built, releaseDir, keys string) string {
	r.Helper()
	f, err := os.Create(filepath.Join(r.TempDir(), "old.img"))
	r.must(err)
	defer f.Close()
	table := gpt.Table{DiskGUID: gpt.MustGUID(layout.ImageDiskGUID), SectorSize: 512}
	at, places := uint64(layout.Align/512), map[int]part{}
	for i, p := range layout.Partitions() {
		size := uint64(p.Size / 512)
		if mib, ok := oldSizes[p.Number]; ok {
			size = uint64(mib) << 11
		}
		guid := p.GUID
		if guid == "" {
			guid = fmt.Sprintf("22222222-2222-4222-8222-22222222220%d", i)
		}
		e := gpt.Partition{Number: p.Number, Type: gpt.MustGUID(p.Type), GUID: gpt.MustGUID(guid), Name: p.Label, First: at, Last: at + size - 1}
		if p.Number == layout.UsrA {
			e.Attributes = gpt.WithSlot(0, gpt.SlotState{Priority: 1, Successful: true})
		}
		table.Partitions = append(table.Partitions, e)
		places[p.Number] = part{f, int64(at) * 512}
		at += size
	}
	table.Sectors = at + 4096
	r.must(f.Truncate(int64(table.Sectors) * 512))
	r.must(table.Write(f))
	_, err = io.Copy(io.NewOffsetWriter(places[layout.UsrA], 0), io.NewSectionReader(first.Usr, 0, first.Release.UsrSize+first.tree))
	r.must(err)
	payload, err := os.Open(filepath.Join(releaseDir, crau.File))
	r.must(err)
	defer payload.Close()
	key, err := os.ReadFile(filepath.Join(keys, publish.PayloadPublicFile))
	r.must(err)
	kernel, _, err := crautest.Apply(payload, places[layout.UsrB], key)
	r.must(err)
	uki, err := io.ReadAll(io.NewSectionReader(first.UKI, 0, first.Release.UKISize))
	r.must(err)
	files := map[string][]byte{"flatcar/vmlinuz-b": kernel, "flatcar/first_boot": nil}
	if firmware == qemu.BIOS {
		files["flatcar/vmlinuz-a"], files["flatcar/grub/grub.cfg"] = uki, r.oldMenu(uki)
		r.oldGRUB(f, places[layout.BIOSBoot])
	} else {
		files["EFI/boot/bootx64.efi"], files["flatcar/vmlinuz-a"] = uki, make([]byte, 50<<20)
	}
	tree := fstree.New()
	for name, data := range files {
		r.must(tree.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(data)}))
	}
	r.must(fat.Write(places[layout.ESP], 128<<20, fat.Options{Label: "EFI-SYSTEM", VolumeID: 1}, tree))
	return f.Name()
}

// oldGRUB installs a GRUB as Flatcar has it: its core image at the beginning of
// the BIOS boot partition, its configuration in flatcar/grub.
func (r *rig) oldGRUB(disk *os.File, space part) {
	r.Helper()
	modules, image := tooltest.Path(r, "usr/lib/grub/i386-pc"), filepath.Join(r.TempDir(), "core.img")
	out, err := tooltest.Command(r, "grub-mkimage", "-d", modules, "-O", "i386-pc", "-p", fmt.Sprintf("(,gpt%d)/flatcar/grub", layout.ESP), "-o", image,
		"biosdisk", "part_gpt", "fat", "normal", "configfile", "linux", "loopback", "echo", "serial", "terminal").CombinedOutput()
	if err != nil {
		r.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(image)
	r.must(err)
	core, err := grub.Core(data, uint64(space.at/512))
	r.must(err)
	boot, err := os.ReadFile(filepath.Join(modules, "boot.img"))
	r.must(err)
	code, err := grub.BootCode(boot, uint64(space.at/512))
	r.must(err)
	_, err = space.WriteAt(core, 0)
	r.must(err)
	_, err = disk.WriteAt(code, 0)
	r.must(err)
}

// oldMenu is the configuration of that GRUB: it starts a kernel out of a file.
func (r *rig) oldMenu(uki []byte) []byte {
	r.Helper()
	name, _ := slot.ParseName("wellcar-0.efi")
	e, err := slot.ReadEntry(name, bytes.NewReader(uki))
	r.must(err)
	return fmt.Appendf(nil, `serial --unit=0 --speed=115200
terminal_output console serial
echo "the old GRUB on $root"
loopback uki ($root)/flatcar/vmlinuz-a
linux (uki)%s %s %s
initrd (uki)%s
boot
`, e.Linux, e.Words, e.Console, e.Initrd)
}

// migrant is the config of a machine whose application works or does not work
// on a version.
func (r *rig) migrant(broken string) []byte {
	return r.filesConfig(append(checkedApp(broken, "20s"), file("/var/lib/app/data", 0o644, "years of work\n"))...)
}

// TestTakeover moves a machine that has Flatcar's layout and another loader,
// by a payload that update_engine would apply, started by UEFI and by BIOS: once
// to a system that proves itself and once to one that does not.
func TestTakeover(t *testing.T) {
	t.Parallel()
	r := newRigFor(t, 2*updateLimit) // four machines
	keys := t.TempDir()
	_, _, err := publish.CreateKeys(keys, publish.KeyOptions{From: time.Now().AddDate(0, 0, -1), To: time.Now().AddDate(1, 0, 0), Random: rand.Reader})
	r.must(err)
	k, err := publish.LoadKeys(keys)
	r.must(err)
	dir := t.TempDir()
	r.must(publish.Takeover(r.ctx, publish.Input{Build: r.buildVersion("0.2.0"), Keys: k, Date: time.Now(), Fast: true}, dir))
	first := r.openBuilt(filepath.Dir(r.image))
	for _, firmware := range []qemu.Firmware{qemu.UEFI, qemu.BIOS} {
		t.Run("good/"+string(firmware), func(t *testing.T) {
			r.in(t).moved(firmware, first, dir, keys)
		})
		t.Run("bad/"+string(firmware), func(t *testing.T) {
			r.in(t).cameBack(firmware, first, dir, keys)
		})
	}
}

// postinst is what update_engine does after it wrote a payload.
var postinst = []check{
	{"the old system", "rootdev -s /usr; sudo ls /boot/flatcar/vmlinuz-b", "/dev/vda3\n/boot/flatcar/vmlinuz-b", 0},
	{"the payload's program", "sudo mkdir /tmp/au && sudo mount -t ext2 -o ro /dev/vda4 /tmp/au && sudo /tmp/au/postinst /dev/vda4 KERNEL=/boot/flatcar/vmlinuz-b && sudo umount /tmp/au",
		`.*verifying /usr.*the new system starts with the next reboot.*`, 0},
}

// toMove is a machine whose next reboot starts the new system, on which the
// application works unless it is the broken version.
func (r *rig) toMove(firmware qemu.Firmware, first built, dir, keys, broken string) (*qemu.VM, *qemu.Client) {
	r.Helper()
	vm := r.start(qemu.Machine{Firmware: firmware, Image: r.oldDisk(firmware, first, dir, keys), Persist: true, FwCfg: map[string][]byte{configName: r.migrant(broken)}})
	client, err := vm.SSH(r.ctx, "core", r.key, 0)
	r.must(err)
	r.overSSH(client, postinst)
	return vm, client
}

// ourLoader looks, after the new system has proved itself, at what starts it and
// at what is kept of the old one.
var ourLoader = map[qemu.Firmware][]check{
	qemu.UEFI: {
		{"our loader is the default", "sudo cmp /boot/EFI/boot/bootx64.efi /usr/lib/systemd/boot/efi/systemd-bootx64.efi && sudo ls /boot/EFI/wellcar/before", "bootx64.efi", 0},
		{"the entry of the old system", "sudo cat /boot/loader/entries/flatcar.conf", `.*efi /EFI/wellcar/before/bootx64.efi`, 0},
	},
	qemu.BIOS: {
		{"the firmware", "ls /sys/firmware/efi", `.*No such file or directory`, 2},
		{"our GRUB", "sudo cmp /boot/wellcar/grub.cfg /usr/lib/wellcar/grub/grub.cfg && sudo stat -c %s /boot/wellcar/before.sector", "512", 0},
		{"the boot code", "sudo cmp -n 440 /dev/vda /boot/wellcar/before.sector", `.*differ.*`, 1},
	},
}

func (r *rig) moved(firmware qemu.Firmware, first built, dir, keys string) {
	vm, client := r.toMove(firmware, first, dir, keys, "none")
	client = r.reboot(vm, client, "0.2.0")
	r.overSSH(client, []check{
		{"the new system", ". /etc/os-release; echo $VERSION; rootdev -s /usr; cat /var/lib/app/data", "0.2.0\n/dev/vda4\nyears of work", 0},
		waitGood("0.2.0"),
	})
	r.overSSH(client, ourLoader[firmware])
	client = r.reboot(vm, client, "0.2.0")
	r.overSSH(client, []check{
		{"it stays", ". /etc/os-release; echo $VERSION", "0.2.0", 0},
		{"the old slot", "sudo cgpt show -i 3 -S /dev/vda; sudo cgpt show -i 3 -P /dev/vda", "1\n1", 0},
		{"the way back by hand", "sudo cgpt prioritize -i 3 /dev/vda; sudo cgpt next /dev/vda", "7130C94A-213A-4E5A-8E26-6CCE9662F132", 0},
	})
	client = r.reboot(vm, client, "0.1.0")
	r.overSSH(client, []check{{"the old system", ". /etc/os-release; echo $VERSION; rootdev -s /usr; cat /var/lib/app/data", "0.1.0\n/dev/vda3\nyears of work", 0}})
}

func (r *rig) cameBack(firmware qemu.Firmware, first built, dir, keys string) {
	vm, client := r.toMove(firmware, first, dir, keys, "0.2.0")
	client = r.reboot(vm, client, "0.1.0")
	r.says(vm, 0, `Welcome to .* 0\.2\.0`) // it was tried
	r.overSSH(client, []check{
		{"the old system", ". /etc/os-release; echo $VERSION; rootdev -s /usr; cat /var/lib/app/data", "0.1.0\n/dev/vda3\nyears of work", 0},
	})
	if firmware == qemu.BIOS {
		r.says(vm, 0, "wellcar: BIOS starts the system that was here before")
		r.says(vm, 0, "the old GRUB on hd0,gpt1")
		return
	}
	r.overSSH(client, []check{{"its loader", "sudo cmp /boot/EFI/boot/bootx64.efi /usr/lib/systemd/boot/efi/systemd-bootx64.efi", `.*differ.*`, 1}})
}
