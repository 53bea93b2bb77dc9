package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/image/derived"
	"wellcar.dev/internal/image/finish"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
)

// grubModulesDir is where the package has the parts of GRUB for a BIOS.
const grubModulesDir = "usr/lib/grub/i386-pc/"

// grubPrefix is the folder of grub.cfg on the disk that the BIOS starts.
var grubPrefix = fmt.Sprintf("(,gpt%d)/%s", layout.ESP, path.Dir(layout.GrubConfig))

// grubModules are all that image/overlay's grub.cfg needs: nothing is loaded
// from a disk. ext2 and btrfs read the OEM partition, of which machines that
// come from elsewhere have either.
var grubModules = []string{
	"biosdisk", "part_gpt", "fat", "ext2", "btrfs", "normal", "configfile", "linux", "chain", "loopback", "loadenv", "regexp", "test", "echo", "true",
	"search", "search_label", "serial", "terminal", "smbios", "minicmd", "sleep", "reboot", "halt", "cat", "ls",
}

// finishGRUB links GRUB's core image. Without GRUB in the lock the image
// starts by UEFI only.
func (b *builder) finishGRUB(ctx context.Context) error {
	if len(b.merged.grub) == 0 {
		return nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", grubPrefix, grubModules)
	for _, name := range sortedKeys(b.merged.grub) {
		fmt.Fprintf(h, "%s %x\n", name, b.merged.grub[name].SHA256)
	}
	for _, p := range b.Lock.Group("tools") { // grub-mkimage and its libraries
		fmt.Fprintln(h, p.SHA256)
	}
	files, err := b.derived.Get(ctx, "grub-1", [32]byte(h.Sum(nil)), b.linkGRUB)
	if err != nil {
		return err
	}
	out := map[string][]byte{}
	for name, data := range files {
		out[layout.GrubDir+"/"+name] = data
	}
	return finish.PutFiles(b.tree, out)
}

func (b *builder) linkGRUB(ctx context.Context) (derived.Files, error) {
	dir, err := os.MkdirTemp(b.Out, ".grub-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	for name, blob := range b.merged.grub {
		data, err := blob.Bytes()
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			return nil, err
		}
	}
	core := filepath.Join(dir, "core")
	args := append([]string{"-d", dir, "-O", "i386-pc", "-p", grubPrefix, "-o", core}, grubModules...)
	if out, err := b.Tools(ctx, nil, "grub-mkimage", args...); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	files := derived.Files{}
	if files["core.img"], err = os.ReadFile(core); err != nil {
		return nil, err
	}
	files["boot.img"], err = os.ReadFile(filepath.Join(dir, "boot.img"))
	return files, err
}

// grubFile reads one of those that finishGRUB made, or grub.cfg.
func (b *builder) grubFile(name string) ([]byte, error) {
	n := b.tree.Get(layout.GrubDir + "/" + name)
	if n == nil {
		return nil, fmt.Errorf("the image lacks %s/%s", layout.GrubDir, name)
	}
	return n.Blob.Bytes()
}

// writeGRUB writes the boot code into sector 0 and the core image into the
// BIOS boot partition.
func (b *builder) writeGRUB(disk Disk) error {
	if len(b.merged.grub) == 0 {
		return nil
	}
	boot, err := b.grubFile("boot.img")
	if err != nil {
		return err
	}
	image, err := b.grubFile("core.img")
	if err != nil {
		return err
	}
	where := partition(layout.BIOSBoot)
	code, err := grub.BootCode(boot, uint64(where.offset/layout.SectorSize))
	if err != nil {
		return err
	}
	core, err := grub.Core(image, uint64(where.offset/layout.SectorSize))
	if err != nil {
		return err
	}
	if err := grub.Fits(core, where.Size/2); err != nil { // an update writes the next one into the other half
		return err
	}
	if _, err := disk.WriteAt(code, 0); err != nil {
		return err
	}
	_, err = disk.WriteAt(core, where.offset)
	return err
}

// grubFiles are what GRUB reads on the EFI system partition: what to do, and
// the one kernel there is.
func (b *builder) grubFiles(uki []byte) (map[string][]byte, error) {
	if len(b.merged.grub) == 0 {
		return nil, nil
	}
	config, err := b.grubFile("grub.cfg")
	if err != nil {
		return nil, err
	}
	name, _ := slot.ParseName(path.Base(b.ukiPath()))
	entry, err := slot.ReadEntry(name, strings.NewReader(string(uki)))
	if err != nil {
		return nil, err
	}
	block, err := grub.Env(slot.Menu([]slot.Entry{entry}, b.ownWords()), layout.GrubEnvSize)
	return map[string][]byte{layout.GrubConfig: config, layout.GrubEnv: block, layout.GrubEnvBackup: block}, err
}

// grubPackage is one of the lock's tools: what is linked from it becomes a part
// of the image, its programs do not.
const grubPackage = "grub-pc-bin"

func (b *builder) grubJobs() (jobs []unpacked.Job, err error) {
	all, err := b.jobs("tools")
	for _, j := range all {
		if name, _, _ := strings.Cut(j.ID, "_"); name == grubPackage {
			jobs = append(jobs, j)
		}
	}
	return jobs, err
}

// keepGRUB keeps the parts that a core image is linked from.
func (m *merged) keepGRUB(pkgs []*unpacked.Package) {
	for _, p := range pkgs {
		for _, n := range p.Nodes {
			if name, ok := strings.CutPrefix(n.Path, grubModulesDir); ok && n.Kind == fstree.File {
				m.grub[name] = n.Blob
			}
		}
	}
}
