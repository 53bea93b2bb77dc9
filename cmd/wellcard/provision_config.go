//go:build linux

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/fetch"
	"wellcar.dev/internal/provision/origin"
	"wellcar.dev/internal/provision/platform"
)

// fetchTimeout is how long the fetch of the config itself may take.
const fetchTimeout = 2 * time.Minute

// Environment variables that move what is looked at, and where it is else.
var (
	cmdlineFile = variable{"IGNITION_KERNEL_CMDLINE_PATH", "/proc/cmdline"}
	directories = [...]variable{
		{"IGNITION_SYSTEM_RUNTIME_CONFIG_DIR", origin.DefaultDirectories[0]},
		{"IGNITION_SYSTEM_LOCAL_CONFIG_DIR", origin.DefaultDirectories[1]},
		{"IGNITION_SYSTEM_CONFIG_DIR", origin.DefaultDirectories[2]},
	}
)

type variable struct{ name, unset string }

func (v variable) get() string {
	if text := os.Getenv(v.name); text != "" {
		return text
	}
	return v.unset
}

func systemDirectories() origin.Directories {
	var out origin.Directories
	for _, v := range directories {
		out = append(out, v.get())
	}
	return out
}

func (p *provisioning) env(offline bool) platform.Env {
	return platform.Env{
		Sys: os.DirFS("/sys"), OEM: p.oemFiles, Offline: offline,
		Config: os.Getenv("IGNITION_CONFIG_FILE"), ReadFile: os.ReadFile,
		Cloud: cloud(p.platform, p.timeout, func(format string, args ...any) { p.say(format, args...) }),
	}
}

// fetcher gets what configs refer to.
func (p *provisioning) fetcher(offline bool) provision.Fetcher { return p.client(offline, 0) }

func (p *provisioning) client(offline bool, total time.Duration) provision.Fetcher {
	return fetch.New(fetch.Options{
		Platform: p.platform, OEM: p.oemFiles, Offline: offline, Total: total, Roots: systemRoots,
		Logf: func(format string, args ...any) { p.say(format, args...) },
	})
}

// systemRoots are the certificate authorities of the system; before it
// started, those that the image ships.
func systemRoots() (*x509.CertPool, error) {
	const bundle = "/etc/ssl/certs/ca-certificates.crt"
	data, err := os.ReadFile(bundle)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = os.ReadFile(shippedRoot + bundle)
	}
	pool := x509.NewCertPool()
	if err != nil {
		return pool, fmt.Errorf("reading the certificate authorities of the system: %w", err)
	}
	pool.AppendCertsFromPEM(data)
	return pool, nil
}

// base finds the configs below the user's.
func (p *provisioning) base(context.Context) ([]platform.Found, error) {
	if p.config != "" {
		return nil, nil
	}
	system, err := systemDirectories().Base(p.platform, func(err error) { p.log.tell(warning, err.Error()) })
	if err != nil {
		return nil, err
	}
	oem, err := platform.Base(p.env(false))
	return append(system, oem), err
}

// user finds the user's config: the kernel command line's, else that of the
// system's directories, else the platform's.
func (p *provisioning) user(ctx context.Context, offline bool) (platform.Found, error) {
	found, err := p.findUser(ctx, offline)
	if err == nil && len(found.Data) == 0 {
		p.say("no config (%s)", found.Name)
	}
	p.rec.Source = found.Name
	return found, err
}

func (p *provisioning) findUser(ctx context.Context, offline bool) (platform.Found, error) {
	if p.config != "" {
		data, err := os.ReadFile(p.config)
		return platform.Found{Name: p.config, Data: data}, err
	}
	line, err := os.ReadFile(cmdlineFile.get())
	if err != nil {
		return platform.Found{}, fmt.Errorf("reading the kernel command line: %w", err)
	}
	found, ok, err := origin.ParseWords(string(line)).Find(ctx, p.client(offline, p.timeout), readLabelled)
	if ok || err != nil {
		return found, err
	}
	if found, ok, err = systemDirectories().User(); ok || err != nil {
		return found, err
	}
	return platform.User(ctx, p.platform, p.env(offline))
}

func (p *provisioning) fetched(c provision.FetchedConfig) {
	text, fields := fetchedEntry(c)
	p.log.tell(info, text, fields...)
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
			err = p.loadTexts()
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
	if err == nil {
		err = p.leaveReport()
	}
	if err != nil {
		return fmt.Errorf("recording the outcome: %w", err)
	}
	return nil
}
