//go:build linux

package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/dm"
	"wellcar.dev/internal/sys/mount"
)

// ownersHook is a program of the machine's owner, as on Flatcar: it is called
// with the slot, A or B, and the folder with the new /usr, and an update that
// it does not like is not made (surface.md 8.5).
const ownersHook = "oem/bin/oem-postinst"

// hookTime is how long the hook may take.
const hookTime = 10 * time.Minute

// postinst runs the hook, if there is one, before anything starts the new
// version.
func (j *job) postinst(ctx context.Context) error {
	hook := filepath.Join(j.Boot.Root, ownersHook)
	info, err := os.Stat(hook)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fail(omaha.CodePostinstall, "looking for the hook of the owner: %w", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		j.Logf("/%s is no program and does not run", ownersHook)
		return nil
	}
	if err := j.runHook(ctx, hook); err != nil {
		return fail(omaha.CodePostinstall, "running the hook of the owner: %w", err)
	}
	return nil
}

func (j *job) runHook(ctx context.Context, hook string) (err error) {
	show := j.Boot.MountUsr
	if show == nil {
		show = mountUsr
	}
	id := j.state.Booted.Other()
	dir, undo, err := show(filepath.Join(j.Boot.Root, j.parts[id].Path), hashOf(j.rel.Manifest.RootHash))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, undo()) }()
	ctx, stop := context.WithTimeoutCause(ctx, hookTime, fmt.Errorf("it did not end within %s", hookTime))
	defer stop()
	r, err := command.Exec(ctx, command.Cmd{Path: hook, Args: []string{string(id), dir}})
	for line := range strings.Lines(string(r.Stdout) + string(r.Stderr)) {
		j.Logf("oem-postinst: %s", strings.TrimRight(line, "\n"))
	}
	return err
}

// Where the new /usr is shown, and the name of the device below it.
const (
	newUsrDir     = "/run/wellcar/new-usr"
	newUsrMapping = "wellcar-new-usr"
)

// mountUsr shows the /usr in a partition, read-only and verified block by block.
func mountUsr(device string, rootHash [32]byte) (dir string, undo func() error, err error) {
	sb, err := superblock(device)
	if err != nil {
		return "", nil, fmt.Errorf("reading the new /usr: %w", err)
	}
	unmountUsr() // what a client left that was killed; there is nothing else to remove
	dev, err := dm.CreateReadOnly(newUsrMapping, "", dm.Target{Type: "verity", Size: sb.DataSize(), Params: verity.Table(device, sb, rootHash)})
	if err != nil {
		return "", nil, err
	}
	if err := (mount.Mount{Source: dev.Path(), Target: newUsrDir, Type: "erofs", Flags: unix.MS_RDONLY}).Mount(); err != nil {
		return "", nil, errors.Join(err, dm.Remove(newUsrMapping))
	}
	return newUsrDir, unmountUsr, nil
}

func unmountUsr() error {
	return errors.Join(mount.Unmount(newUsrDir), dm.Remove(newUsrMapping))
}
