//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/mount"
)

// keyFilesDir is where copies of key files are made; it is in memory.
const keyFilesDir = "/run"

// oemFiles are the files of the OEM partition, or copies of some of them once
// it is unmounted.
type oemFiles struct{ dir string }

// Open implements fs.FS.
func (o *oemFiles) Open(name string) (fs.File, error) { return os.DirFS(o.dir).Open(name) }

func (p *provisioning) setOEM(dir string) { p.oem, p.oemFiles = dir, &oemFiles{dir} }

// releaseOEM unmounts an OEM partition that is mounted for the fetch stages
// only, so that the disks stage may change it. The key files on it that this
// stage needs are copied before.
func (p *provisioning) releaseOEM(plan provision.Plan, stage provision.Stage) error {
	disks := func(s provision.Step) bool { return s.Stage == provision.StageDisks }
	if !p.oemGiven || stage != provision.StageDisks || !slices.ContainsFunc(plan.Steps, disks) {
		return nil
	}
	if err := p.keepKeyFiles(keyFilesDir, oemKeys(plan)); err != nil {
		return err
	}
	return mount.Unmount(p.oem)
}

// oemKeys are the paths on the OEM partition that volumes get their keys from.
func oemKeys(plan provision.Plan) (names []string) {
	for _, s := range plan.Steps {
		luks, ok := s.Action.(*provision.CreateLUKS)
		if !ok || luks.Key == nil {
			continue
		}
		r, _ := luks.Key.Remote()
		if u, err := url.Parse(r.URL); err == nil && u.Scheme == "oem" {
			names = append(names, strings.TrimPrefix(u.Path, "/"))
		}
	}
	return names
}

// keepKeyFiles copies files of the OEM partition to a new directory below one
// in memory, and reads them there from then on. What is missing is told when it
// is asked for.
func (p *provisioning) keepKeyFiles(below string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp(below, "wellcar-keys-")
	if err != nil {
		return fmt.Errorf("keeping key files of the OEM partition: %w", err)
	}
	p.close = append(p.close, func() error { return os.RemoveAll(dir) })
	for _, name := range names {
		data, err := fs.ReadFile(p.oemFiles, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("keeping the key file oem:///%s: %w", name, err)
		}
	}
	p.oemFiles.dir = dir
	return nil
}
