package vm_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/butane"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/test/disk"
)

// TestCorruptUsr flips one byte of a program that every boot runs.
func TestCorruptUsr(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	name := r.copyImage()
	r.must(disk.Flip(name, r.contentOf(name, "lib/systemd/systemd")+100))
	vm := r.start(qemu.Machine{Image: name, Persist: true, KernelArgs: []string{"panic=5"}})
	r.says(vm, 0, `device-mapper: verity: .*data block \d+ is corrupted`)
	r.says(vm, 0, `Kernel panic - not syncing: dm-verity device corrupted`)
	r.says(vm, 0, `Rebooting in 5 seconds`)
	mark := vm.Serial.Mark()
	r.says(vm, mark, `^BdsDxe: starting Boot`)
}

// contentOf finds the first block of a file of /usr, as an offset in the
// image. The file must be larger than a block.
func (r *rig) contentOf(name, path string) int64 {
	r.Helper()
	table, err := disk.Table(name)
	r.must(err)
	at, size, err := disk.Place(table, layout.UsrA)
	r.must(err)
	f, err := os.Open(name)
	r.must(err)
	defer f.Close()
	files, err := erofs.Open(io.NewSectionReader(f, at, size))
	r.must(err)
	tree, err := files.Tree()
	r.must(err)
	node := tree.Get(path)
	if node == nil || node.Blob.Size < erofs.BlockSize {
		r.Fatalf("/usr/%s is not there or too small", path)
	}
	want, block := make([]byte, erofs.BlockSize), make([]byte, erofs.BlockSize)
	_, err = node.Blob.Source.ReadAt(want, node.Blob.Offset)
	r.must(err)
	for end := at + files.Size(); at < end; at += erofs.BlockSize {
		if _, err := f.ReadAt(block, at); err != nil {
			r.Fatal(err)
		}
		if bytes.Equal(want, block) {
			return at
		}
	}
	r.Fatalf("the first block of /usr/%s is nowhere in the image", path)
	return 0
}

// TestBadESP boots a disk whose EFI system partition is destroyed. The
// firmware could not start from it, so it gets the UKI from QEMU. The system
// comes up whole; what is broken, and nothing else, is a failed unit, since the
// update client looks at /boot at every boot.
func TestBadESP(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	name := r.copyImage()
	table, err := disk.Table(name)
	r.must(err)
	at, _, err := disk.Place(table, layout.ESP)
	r.must(err)
	r.must(disk.Overwrite(name, at, bytes.Repeat([]byte{0xa5}, 64<<10)))
	uki := filepath.Join(filepath.Dir(r.image), image.UKIFile)
	vm := r.start(qemu.Machine{Image: name, Persist: true, KernelArgs: []string{"flatcar.autologin"}, Extra: []string{"-kernel", uki}})
	r.says(vm, 0, `wellcar-init: the EFI system partition vda1 is unreadable: .*; going on, first boot: false`)
	r.onConsole(vm, []check{
		rootSize(1 * gib),
		{"the update client", "sudo timeout 300 sh -c 'until journalctl --no-pager --quiet --output cat --unit update-engine --grep judged; do sleep 1; done'",
			`the running system is not judged: listing the kernels on the EFI system partition: .*/boot.*`, 0},
		{"opening /boot", "sudo ls /boot", `ls: .*/boot.*`, 2},
		{"opening it often", "for i in 1 2 3 4 5 6; do sudo ls /boot; done 2>&1 | sort --unique", `ls: .*/boot.*`, 0},
		{"the automount", "systemctl is-active boot.automount", `active`, 0},
		{"failed units", "systemctl list-units --failed --plain --no-legend", `boot\.mount +loaded failed failed [^\n]*`, 0},
	})
}

// TestProvisionFailure boots with a config that is valid but asks for what
// this image makes impossible.
func TestProvisionFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := []byte(`variant: flatcar
version: 1.1.0
storage:
  files:
    - path: /etc/hosts/mine
      contents:
        inline: below a file
`)
	config, report, positions := butane.Translate("conflict.bu", text, ".", true)
	r.must(report.Err())
	vm := r.start(qemu.Machine{Image: r.image, FwCfg: map[string][]byte{
		configName: config, "opt/wellcar/source": provision.NewSource("conflict.bu", text, positions).Encode(),
	}})
	const sentence = `conflict\.bu:5:\d+: .*/etc/hosts/mine.*not a directory`
	r.says(vm, 0, `wellcar-init: BOOT FAILED: .*`+sentence)
	r.says(vm, 0, `wellcar-init: rebooting in 5m0s`)
	mark := vm.Serial.Mark()
	r.must(vm.Reset(r.ctx))
	r.says(vm, mark, `wellcar-init: the boot before this one failed: .*`+sentence)
	r.says(vm, mark, `wellcar-init: BOOT FAILED: .*`+sentence)
}
