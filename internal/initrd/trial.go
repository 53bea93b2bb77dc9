//go:build linux

package initrd

import (
	"errors"
	"io/fs"
	"os"

	"wellcar.dev/internal/format/fat"
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
	if !slot.Unproven(kernels, b.version()) {
		return false, nil
	}
	menu, err := slot.ReadMenu(esp.ReadFile, layout.GrubEnv, layout.GrubEnvBackup)
	if err != nil {
		return false, err
	}
	_, err = esp.ReadFile(layout.TakeoverState)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return slot.EndsByRestart(slot.AfterMenu(kernels, menu), b.version(), err == nil), nil
}
