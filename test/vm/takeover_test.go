package vm_test

import (
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
	"wellcar.dev/internal/image/publish"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/qemu"
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
func (r *rig) oldDisk(first built, releaseDir, keys string) string {
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
	tree := fstree.New()
	for name, data := range map[string][]byte{"EFI/boot/bootx64.efi": uki, "flatcar/vmlinuz-a": make([]byte, 50<<20), "flatcar/vmlinuz-b": kernel, "flatcar/first_boot": nil} {
		r.must(tree.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(data)}))
	}
	r.must(fat.Write(places[layout.ESP], 128<<20, fat.Options{Label: "EFI-SYSTEM", VolumeID: 1}, tree))
	return f.Name()
}

// migrant is the config of a machine whose application works or does not work
// on a version.
func (r *rig) migrant(broken string) []byte {
	return r.filesConfig(append(checkedApp(broken, "20s"), file("/var/lib/app/data", 0o644, "years of work\n"))...)
}

// TestTakeover moves a machine that has Flatcar's layout and another loader,
// by a payload that update_engine would apply: once to a system that proves
// itself and once to one that does not.
func TestTakeover(t *testing.T) {
	t.Parallel()
	r := newRigFor(t, updateLimit)
	keys := t.TempDir()
	_, _, err := publish.CreateKeys(keys, publish.KeyOptions{From: time.Now().AddDate(0, 0, -1), To: time.Now().AddDate(1, 0, 0), Random: rand.Reader})
	r.must(err)
	k, err := publish.LoadKeys(keys)
	r.must(err)
	dir := t.TempDir()
	r.must(publish.Takeover(r.ctx, publish.Input{Build: r.buildVersion("0.2.0"), Keys: k, Date: time.Now(), Fast: true}, dir))
	first := r.openBuilt(filepath.Dir(r.image))
	t.Run("good", func(t *testing.T) {
		r.in(t).moved(first, dir, keys)
	})
	t.Run("bad", func(t *testing.T) {
		r.in(t).cameBack(first, dir, keys)
	})
}

// postinst is what update_engine does after it wrote a payload.
var postinst = []check{
	{"the old system", "rootdev -s /usr; sudo ls /boot/flatcar/vmlinuz-b", "/dev/vda3\n/boot/flatcar/vmlinuz-b", 0},
	{"the payload's program", "sudo mkdir /tmp/au && sudo mount -t ext2 -o ro /dev/vda4 /tmp/au && sudo /tmp/au/postinst /dev/vda4 KERNEL=/boot/flatcar/vmlinuz-b && sudo umount /tmp/au",
		`.*verifying /usr.*the new system starts with the next reboot.*`, 0},
}

// toMove is a machine whose next reboot starts the new system, on which the
// application works unless it is the broken version.
func (r *rig) toMove(first built, dir, keys, broken string) (*qemu.VM, *qemu.Client) {
	r.Helper()
	vm := r.start(qemu.Machine{Image: r.oldDisk(first, dir, keys), Persist: true, FwCfg: map[string][]byte{configName: r.migrant(broken)}})
	client, err := vm.SSH(r.ctx, "core", r.key, 0)
	r.must(err)
	r.overSSH(client, postinst)
	return vm, client
}

func (r *rig) moved(first built, dir, keys string) {
	vm, client := r.toMove(first, dir, keys, "none")
	client = r.reboot(vm, client, "0.2.0")
	r.overSSH(client, []check{
		{"the new system", ". /etc/os-release; echo $VERSION; rootdev -s /usr; cat /var/lib/app/data", "0.2.0\n/dev/vda4\nyears of work", 0},
		waitGood("0.2.0"),
		{"our loader is the default", "sudo cmp /boot/EFI/boot/bootx64.efi /usr/lib/systemd/boot/efi/systemd-bootx64.efi && sudo ls /boot/EFI/wellcar/before", "bootx64.efi", 0},
		{"the entry of the old system", "sudo cat /boot/loader/entries/flatcar.conf", `.*efi /EFI/wellcar/before/bootx64.efi`, 0},
	})
	client = r.reboot(vm, client, "0.2.0")
	r.overSSH(client, []check{
		{"it stays", ". /etc/os-release; echo $VERSION", "0.2.0", 0},
		{"the old slot", "sudo cgpt show -i 3 -S /dev/vda; sudo cgpt show -i 3 -P /dev/vda", "1\n1", 0},
		{"the way back by hand", "sudo cgpt prioritize -i 3 /dev/vda; sudo cgpt next /dev/vda", "7130C94A-213A-4E5A-8E26-6CCE9662F132", 0},
	})
	client = r.reboot(vm, client, "0.1.0")
	r.overSSH(client, []check{{"the old system", ". /etc/os-release; echo $VERSION; rootdev -s /usr; cat /var/lib/app/data", "0.1.0\n/dev/vda3\nyears of work", 0}})
}

func (r *rig) cameBack(first built, dir, keys string) {
	vm, client := r.toMove(first, dir, keys, "0.2.0")
	client = r.reboot(vm, client, "0.1.0")
	r.says(vm, 0, `Welcome to .* 0\.2\.0`) // it was tried
	r.overSSH(client, []check{
		{"the old system", ". /etc/os-release; echo $VERSION; rootdev -s /usr; cat /var/lib/app/data", "0.1.0\n/dev/vda3\nyears of work", 0},
		{"its loader", "sudo cmp /boot/EFI/boot/bootx64.efi /usr/lib/systemd/boot/efi/systemd-bootx64.efi", `.*differ.*`, 1},
	})
}
