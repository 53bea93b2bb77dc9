//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/bootargs"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/mount"
	"wellcar.dev/internal/update"
)

// kernelLine changes the words that this machine's kernel is started with.
type kernelLine struct {
	esp     string // device
	oem     string // directory; empty: there is no OEM partition
	remount bool   // oem is mounted for reading only
}

// espNode is the EFI system partition of a machine that is up.
const espNode = "/dev/disk/by-partlabel/EFI-SYSTEM"

// changedLine exists from a change of the kernel arguments until the restart.
const changedLine = "/run/wellcar/kernel-arguments"

// bootedLine is the line of a machine that is up; nil if it is not one of ours.
func bootedLine() provision.KernelLine {
	if _, err := os.Stat(espNode); err != nil {
		return nil
	}
	k := kernelLine{esp: espNode}
	if info, err := os.Stat("/oem"); err == nil && info.IsDir() {
		k.oem = "/oem"
	}
	return k
}

// kernelLine is nil where it is not known what starts the machine.
func (p *provisioning) kernelLine() provision.KernelLine {
	if p.esp == "" {
		return nil
	}
	k := kernelLine{esp: p.esp}
	if p.oemGiven {
		k.oem, k.remount = p.oem, true
	}
	return k
}

// imageLine is the words that the image starts its kernel with; empty if that
// is not known.
func imageLine() string {
	text, _ := os.ReadFile(filepath.Join("/usr", layout.KernelCmdline))
	return strings.TrimSpace(string(text))
}

// Change implements provision.KernelLine.
func (k kernelLine) Change(_ context.Context, add, remove []string) (restart bool, err error) {
	running, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return false, fmt.Errorf("reading the kernel command line: %w", err)
	}
	boot := k.boot()
	boot.Running = string(running)
	var out bootargs.Outcome
	err = k.mounted(func(esp string) (err error) {
		boot.ESP = esp
		if out, err = boot.Change(add, remove); err != nil || !out.Changed {
			return err
		}
		return update.ESP{Dir: esp}.Refresh() // GRUB's menu has the words where it finds no settings
	})
	if err == nil && out.Changed {
		err = noteChange()
	}
	if err != nil {
		return false, err
	}
	return restartFor(out, out.Changed || isThere(changedLine), isThere("/sys/firmware/efi"))
}

// Words implements provision.KernelLine.
func (k kernelLine) Words(context.Context) (image, own string, err error) {
	boot := k.boot()
	own, known, err := boot.Settings()
	if err != nil || known {
		return boot.Image, own, err
	}
	err = k.mounted(func(esp string) (err error) {
		boot.ESP = esp
		own, err = boot.AddOn()
		return err
	})
	return boot.Image, own, err
}

func (k kernelLine) boot() bootargs.Boot {
	return bootargs.Boot{OEM: k.oem, Stub: filepath.Join("/usr", layout.AddOnStub), Image: imageLine()}
}

func noteChange() error {
	err := os.MkdirAll(filepath.Dir(changedLine), 0o755)
	if err == nil {
		err = os.WriteFile(changedLine, nil, 0o644)
	}
	if err != nil {
		return fmt.Errorf("noting that the kernel arguments changed: %w", err)
	}
	return nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// restartFor tells whether a restart brings what is asked for: there was a
// change, by now or before in this boot. After a restart that did not bring it
// there is no second.
func restartFor(out bootargs.Outcome, changed, uefi bool) (bool, error) {
	if changed {
		return len(out.Missing)+len(out.Left) > 0, nil
	}
	if len(out.Missing) == 0 {
		return false, nil
	}
	missing := strings.Join(out.Missing, " ")
	if !uefi {
		return false, fmt.Errorf("the kernel was started without %s, which GRUB should have found in %s on the OEM partition; "+
			"look there for lines that take words away again", missing, layout.BootSettings)
	}
	return false, fmt.Errorf("the kernel was started without %s, which the add-on %s on the EFI system partition has: "+
		"with Secure Boot the firmware refuses an add-on that is not signed; turn Secure Boot off, or leave the kernel arguments out",
		missing, layout.KernelAddOn)
}

// mounted calls change with both partitions open for writing.
func (k kernelLine) mounted(change func(esp string) error) (err error) {
	if k.remount {
		oem := mount.Mount{Target: k.oem}
		if err := oem.Remount(0).Mount(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, oem.Remount(unix.MS_RDONLY).Mount()) }()
	}
	dir, err := os.MkdirTemp("", "wellcar-esp-")
	if err != nil {
		return fmt.Errorf("making a mount point: %w", err)
	}
	defer os.Remove(dir)
	esp := mount.Mount{Source: k.esp, Target: dir, Type: "vfat", Flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, Data: "umask=0077"}
	if err := esp.Mount(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mount.Unmount(dir)) }()
	return change(dir)
}
