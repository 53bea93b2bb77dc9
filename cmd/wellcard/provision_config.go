//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
)

// platformTimeout is how long the fetch of the config itself may take.
const platformTimeout = 2 * time.Minute

func (p *provisioning) env(offline bool) platform.Env {
	return platform.Env{
		Sys: os.DirFS("/sys"), OEM: os.DirFS(p.oem), Offline: offline,
		Config: os.Getenv("IGNITION_CONFIG_FILE"), ReadFile: os.ReadFile,
		Cloud: cloud(p.platform, platformTimeout, func(format string, args ...any) { p.say(format, args...) }),
	}
}

// base finds the configs below the user's.
func (p *provisioning) base(context.Context) ([]platform.Found, error) {
	if p.config != "" {
		return nil, nil
	}
	found, err := platform.Base(p.env(false))
	return []platform.Found{found}, err
}

// user finds the user's config.
func (p *provisioning) user(ctx context.Context, offline bool) (platform.Found, error) {
	if p.config != "" {
		data, err := os.ReadFile(p.config)
		return platform.Found{Name: p.config, Data: data}, p.foundUser(p.config, data, err)
	}
	found, err := platform.User(ctx, p.platform, p.env(offline))
	return found, p.foundUser(found.Name, found.Data, err)
}

func (p *provisioning) foundUser(name string, data []byte, err error) error {
	if err == nil && len(data) == 0 {
		p.say("no config (%s)", name)
	}
	p.rec.Source = name
	return err
}

func (p *provisioning) fetched(c provision.FetchedConfig) {
	switch {
	case c.Kind != "user":
	case c.Referenced:
		p.say("config from %s, which another one names", c.Source)
	default:
		p.say("config from %s", c.Source)
	}
}

// resumeRecord goes on with the record of the stages before this process's.
func (p *provisioning) resumeRecord() {
	if p.record == "" || len(p.stages) == 0 || p.stages[0] == provision.StageFetchOffline {
		return
	}
	data, err := os.ReadFile(p.record)
	if err == nil {
		var rec *provision.Record
		if rec, err = provision.DecodeRecord(data); err == nil {
			p.rec = *rec
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.say("warning: what was done before is not in the record: %v", err)
	}
}

func (p *provisioning) saveRecord() error {
	if p.record == "" || p.planOnly {
		return nil
	}
	data, err := p.rec.Encode()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(p.record), 0o755)
	}
	if err == nil {
		err = os.WriteFile(p.record, data, 0o644)
	}
	if err != nil {
		return fmt.Errorf("recording the outcome: %w", err)
	}
	return nil
}
