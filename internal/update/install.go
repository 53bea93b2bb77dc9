//go:build linux

package update

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/filelock"
)

// Installer writes a proven release into the slot that does not run and makes
// it start next. The running slot is only read.
//
// The order keeps the machine startable at each instant: first the kernels of
// the other slot go, then the slot is written and its root hash compared and
// the owner's hook has its say, then the new kernel is written beside the running one under a name that no boot
// loader takes, and last it gets its name. Each is on the disk before the next.
type Installer struct {
	Boot     Boot
	Prefs    Prefs
	Remote   *Remote // nil: releases are local
	Progress func(done, total int64)
	Logf     func(format string, args ...any)
	Note     Noter // may be nil
}

// job is one installation.
type job struct {
	*Installer
	rel    Verified
	state  slot.State
	parts  map[slot.ID]blockdev.Device
	device *os.File              // the other slot
	heads  map[string]delta.Head // of the payloads that were looked at
}

// lockFile keeps two installations apart.
const lockFile = "run/wellcar-update.lock"

func (in *Installer) lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(in.Boot.Root, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fail(omaha.CodeInstallDevice, "installing: %w", err)
	}
	if err := filelock.Try(f); err != nil {
		f.Close()
		return nil, fail(omaha.CodeInstallDevice, "installing: another program is at it: %w", err)
	}
	return f, nil
}

// Install does it. The note says which payload was taken and why.
func (in *Installer) Install(ctx context.Context, rel Verified) (note string, err error) {
	lock, err := in.lock()
	if err != nil {
		return "", err
	}
	defer lock.Close()
	j := &job{Installer: in, rel: rel, heads: map[string]delta.Head{}}
	m := rel.Manifest
	if j.state, err = in.Boot.State(); err != nil {
		return "", fail(omaha.CodeInstallDevice, "%w", err)
	}
	if j.parts, _, err = in.Boot.Devices(); err != nil {
		return "", fail(omaha.CodeInstallDevice, "%w", err)
	}
	name, before, err := slot.Activate(j.state, m.Version, hashOf(m.RootHash))
	if err != nil {
		return "", fail(omaha.CodeInstallDevice, "%w", err)
	}
	if err := j.reach(ctx); err != nil {
		return "", err
	}
	if err := j.prepare(); err != nil {
		return "", err
	}
	if err := j.open(); err != nil {
		return "", err
	}
	defer j.device.Close()
	kernel, note, err := j.payloads(ctx)
	if err != nil {
		return "", err
	}
	if err := j.postinst(ctx); err != nil {
		return "", err
	}
	return note, j.activate(kernel, name, before)
}

// prepare checks all that can be checked, and only then takes away what
// starts the other slot.
func (j *job) prepare() error {
	m := j.rel.Manifest
	if err := j.Boot.ESP.Tidy(); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	dev, ok := j.parts[j.state.Booted.Other()]
	if need := m.UsrSize + m.TreeSize; !ok || dev.Size < need {
		return fail(omaha.CodeInstallDevice, "checking slot %s: the new /usr needs %d bytes, the partition has %d; nothing was changed yet", j.state.Booted.Other(), need, dev.Size)
	}
	if err := j.Prefs.room(); err != nil {
		return fail(omaha.CodeWrite, "%w; nothing was changed yet", err)
	}
	doomed := slot.Clear(j.state)
	if err := j.Boot.ESP.CheckRoom(m.UKISize-j.Boot.old().Room(), doomed); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := j.Boot.old().Retire(); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := j.Boot.ESP.Do(doomed); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	return nil
}

func (j *job) open() (err error) {
	dev := j.parts[j.state.Booted.Other()]
	if j.device, err = os.OpenFile(filepath.Join(j.Boot.Root, dev.Path), os.O_RDWR, 0); err != nil {
		return fail(omaha.CodeInstallDevice, "opening slot %s: %w", j.state.Booted.Other(), err)
	}
	return nil
}

// activate writes the kernel and gives it its name.
func (j *job) activate(kernel []byte, name slot.Name, before []slot.Change) error {
	esp := j.Boot.ESP
	activate, err := esp.Stage(bytes.NewReader(kernel), name)
	if err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := esp.sync(); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := j.named(name, activate); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := esp.Do(before); err != nil { // behind it: at no time is there nothing to start
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	j.forget()
	return nil
}
