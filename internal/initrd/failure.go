//go:build linux

package initrd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
)

// lastFailure is the file that carries the reason of a failure to the next
// boot: on the EFI system partition, and from the next boot on below /run.
const lastFailure = "wellcar/last-failure"

// saveLimit bounds the attempt to save the reason.
const saveLimit = 15 * time.Second

// fail ends a boot that cannot go on: it reports, saves the reason, and does
// as the policy says. It does not return.
func (b *boot) fail(err error) {
	sentence := strings.Join(strings.Fields(err.Error()), " ")
	b.m.Log(kmsg.Critical, "BOOT FAILED: %s", sentence)
	saved := b.guarded("saving the reason", saveLimit, func(context.Context) error { return b.saveFailure(sentence) })
	if saved != nil {
		b.m.Log(kmsg.Warning, "the reason is not kept for the next boot: %v", saved)
	}
	policy := b.opts.OnFailure
	if policy.Shell {
		b.m.Log(kmsg.Critical, "starting a shell as wellcar.emergency= asks for; the machine reboots when it ends")
		if err := b.m.Shell(); err == nil {
			policy.Wait = 0
		} else {
			b.m.Log(kmsg.Critical, "no shell: %v", err)
			policy.Wait = failureWait
		}
	}
	if policy.Wait > 0 {
		b.m.Log(kmsg.Critical, "rebooting in %v", policy.Wait)
		b.m.Wait(policy.Wait)
	}
	b.m.Log(kmsg.Critical, "rebooting")
	b.m.Reboot()
}

func (b *boot) saveFailure(sentence string) error {
	if b.esp.Path == "" {
		return fmt.Errorf("the EFI system partition was not found yet")
	}
	return b.changeESP(func(dir string) error {
		path := filepath.Join(dir, lastFailure)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(sentence+"\n"), 0o644)
	})
}

// fatModules are the drivers for writing to the EFI system partition.
var fatModules = []string{"vfat", "nls_cp437", "nls_ascii"}

// changeESP mounts the EFI system partition for writing, for as short as
// possible: FAT has no journal.
func (b *boot) changeESP(change func(dir string) error) error {
	b.modules.all(fatModules)
	if err := b.m.Mount(mount.Mount{Source: b.esp.Path, Target: espDir, Type: "vfat", Flags: espFlags, Data: espOptions}); err != nil {
		return err
	}
	err := change(b.m.path(espDir))
	if unmounted := b.m.Unmount(espDir); err == nil {
		err = unmounted // which writes everything back
	}
	return err
}
