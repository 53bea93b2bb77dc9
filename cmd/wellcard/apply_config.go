//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/fetch"
	"wellcar.dev/internal/provision/platform"
)

// load reads the new config, with what it refers to, lays it over the base
// configs of the machine, and lets the target fetch the rest by its settings.
func (a *applying) load(ctx context.Context) (provision.Config, error) {
	data, err := os.ReadFile(a.file)
	if err != nil {
		return provision.Config{}, fmt.Errorf("reading the config: %w", err)
	}
	c, err := a.read(a.file, data)
	if err != nil {
		return c, err
	}
	fetcher, err := a.fetcher()
	if err != nil {
		return c, err
	}
	user, report := c.Render(ctx, fetcher)
	if err := a.tell(report); err != nil {
		return user, err
	}
	if c, err = a.base(); err != nil {
		return c, err
	}
	c = provision.Merge(c, user)
	c.UserProvided = user.UserProvided
	a.target.Fetch, report = c.Fetcher(fetcher)
	return c, a.tell(report)
}

// base is the configs that lie below the user's, as at a first boot.
func (a *applying) base() (provision.Config, error) {
	id, err := a.platform()
	if err != nil {
		return provision.Config{}, err
	}
	dirs := systemDirectories()
	for i, dir := range dirs {
		dirs[i] = filepath.Join(a.root, dir)
	}
	found, err := dirs.Base(id, func(err error) { a.say("%v", err) })
	if err != nil {
		return provision.Config{}, err
	}
	oem, err := platform.Base(platform.Env{OEM: a.oem()})
	if err != nil {
		return provision.Config{}, err
	}
	var base provision.Config
	for _, f := range append(found, oem) {
		c, err := a.read(f.Name, f.Data)
		if err != nil {
			return c, err
		}
		base = provision.Merge(base, c.WithoutReferences())
	}
	return base, nil
}

func (a *applying) oem() fs.FS { return os.DirFS(filepath.Join(a.root, "oem")) }

func (a *applying) read(name string, data []byte) (provision.Config, error) {
	c, report := provision.Load(name, data, provision.LoadOptions{})
	return c, a.tell(report)
}

// tell tells what stops nothing, and returns what does.
func (a *applying) tell(report provision.Report) error {
	if err := report.Err(); err != nil {
		return err
	}
	for _, w := range report {
		a.say("%s", w)
	}
	return nil
}

// fetcher gets what configs refer to. Unlike a first boot it does not try for ever.
func (a *applying) fetcher() (provision.Fetcher, error) {
	id, err := a.platform()
	return fetch.New(fetch.Options{
		Platform: id, OEM: a.oem(), Total: fetchTimeout, Roots: systemRoots,
		Logf: func(format string, args ...any) { fmt.Fprintf(a.log, "apply: "+format+"\n", args...) },
	}), err
}

// platform is the one that the machine was provisioned on; empty if that is
// not known.
func (a *applying) platform() (string, error) {
	data, err := a.target.Files.ReadFile(storedRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	rec, err := provision.DecodeRecord(data)
	if err != nil {
		return "", err
	}
	return rec.Platform, nil
}
