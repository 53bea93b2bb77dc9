//go:build linux

package initrd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/kmsg"
)

// noteTrial leaves word for the booted system if the version that runs is on
// trial and restarts lead back from it. There wellcar-trial.timer goes by it,
// for the case that the trial itself is never reached.
func (b *boot) noteTrial(esp *fat.FS) {
	ends, err := b.endsByRestart(esp)
	if err == nil && ends {
		err = os.WriteFile(b.m.path("/"+layout.OnTrial), nil, 0o644)
	}
	if err != nil {
		b.m.Log(kmsg.Warning, "whether %s is on trial is not known: %v", b.version(), err)
	}
}

func (b *boot) endsByRestart(esp *fat.FS) (bool, error) {
	files, err := esp.Names(slot.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var kernels []slot.Name
	for _, f := range files {
		if n, ok := slot.ParseName(f); ok {
			kernels = append(kernels, n)
		}
	}
	menu, err := grubMenu(esp)
	if err != nil {
		return false, err
	}
	_, err = esp.ReadFile(layout.TakeoverState)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return slot.EndsByRestart(slot.AfterMenu(kernels, menu), b.version(), err == nil), nil
}

// grubMenu is where GRUB counts starts; nil if there is none.
func grubMenu(esp *fat.FS) (map[string]string, error) {
	for _, name := range []string{layout.GrubEnv, layout.GrubEnvBackup} {
		block, err := esp.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading GRUB's menu: %w", err)
		}
		if vars, err := grub.ParseEnv(block); err == nil && slot.Whole(vars) {
			return vars, nil
		}
	}
	return nil, nil
}
