package qemu

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Firmware files of the tool set (package ovmf).
const (
	firmwareCode = "usr/share/OVMF/OVMF_CODE_4M.fd"
	firmwareVars = "usr/share/OVMF/OVMF_VARS_4M.fd"
)

// dataFolders hold QEMU's option ROMs (packages qemu-system-data, seabios, ipxe-qemu).
var dataFolders = []string{"usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"}

// prepare makes every file of a machine in its folder.
func prepare(ctx context.Context, tools Tools, m Machine, dir string) (places, error) {
	p := places{
		code: tools.Path(firmwareCode), vars: filepath.Join(dir, "vars"),
		serial: filepath.Join(dir, "serial"), qmp: filepath.Join(dir, "qmp"), monitor: filepath.Join(dir, "monitor"),
		fwcfg: filepath.Join(dir, "fwcfg"),
	}
	for _, rel := range dataFolders {
		if path := tools.Path(rel); isDir(path) {
			p.data = append(p.data, path)
		}
	}
	if m.TPM {
		p.tpm = filepath.Join(dir, "tpm")
	}
	if m.Firmware != BIOS {
		if err := copyFile(p.vars, tools.Path(firmwareVars)); err != nil {
			return p, err
		}
	}
	if err := writeFwCfg(p.fwcfg, m.FwCfg); err != nil {
		return p, err
	}
	for i, size := range m.Disks {
		file := filepath.Join(dir, "disk"+strconv.Itoa(i+1))
		if err := sparse(file, size); err != nil {
			return p, err
		}
		p.disks = append(p.disks, file)
	}
	return p, bootDisk(ctx, tools, m, dir, &p)
}

// bootDisk is the image itself, or a copy-on-write overlay over it.
func bootDisk(ctx context.Context, tools Tools, m Machine, dir string, p *places) error {
	image, err := filepath.Abs(m.Image)
	if err != nil {
		return fmt.Errorf("finding %s: %w", m.Image, err)
	}
	info, err := os.Stat(image)
	if err != nil {
		return fmt.Errorf("finding the disk image: %w", err)
	}
	if m.Persist {
		p.boot, p.bootFormat = image, "raw"
		if m.DiskSize > info.Size() {
			return sparse(image, m.DiskSize)
		}
		return nil
	}
	p.boot, p.bootFormat = filepath.Join(dir, "boot"), "qcow2"
	args := []string{"create", "-q", "-f", "qcow2", "-F", "raw", "-b", image, p.boot}
	if m.DiskSize > info.Size() {
		args = append(args, strconv.FormatInt(m.DiskSize, 10))
	}
	proc, err := spawn(ctx, tools, nil, nil, "qemu-img", args...)
	if err != nil {
		return err
	}
	if <-proc.done; proc.err != nil {
		return fmt.Errorf("making an overlay over %s: %w", image, proc.failure())
	}
	return nil
}

func writeFwCfg(dir string, files map[string][]byte) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of firmware files: %w", err)
	}
	for i, name := range sortedNames(files) {
		// Configurations hold secrets: nobody else reads them.
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), files[name], 0o600); err != nil {
			return fmt.Errorf("writing firmware file %s: %w", name, err)
		}
	}
	return nil
}

// sparse makes a file of the given size without using space, or enlarges one.
func sparse(file string, size int64) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making a disk of %d bytes: %w", size, err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("making a disk of %d bytes: %w", size, err)
	}
	return nil
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("reading the firmware: %w", err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		return fmt.Errorf("copying the firmware's variables: %w", err)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// startTPM starts a TPM that answers on a socket made here, so that QEMU can
// connect at once. It ends with its connection.
func (vm *VM) startTPM(ctx context.Context, tools Tools, path string) error {
	state := filepath.Join(vm.dir, "tpmstate")
	if err := os.Mkdir(state, 0o700); err != nil {
		return fmt.Errorf("making the TPM's folder: %w", err)
	}
	l, err := listen(path)
	if err != nil {
		return err
	}
	unix := l.(*net.UnixListener)
	unix.SetUnlinkOnClose(false)
	defer unix.Close()
	socket, err := unix.File()
	if err != nil {
		return fmt.Errorf("handing the TPM its socket: %w", err)
	}
	defer socket.Close()
	tpm, err := spawn(ctx, tools, nil, []*os.File{socket}, "swtpm", "socket", "--tpm2", "--terminate",
		"--tpmstate", "dir="+state, "--ctrl", "type=unixio,fd=3")
	if err != nil {
		return err
	}
	vm.children = append(vm.children, tpm)
	return nil
}
