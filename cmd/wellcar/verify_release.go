package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"wellcar.dev/internal/image/publish"
	"wellcar.dev/internal/release"
)

// verifyRelease checks a release folder, one file of it, or a package, by a public key:
// root keys for what the manifest lists, an OpenPGP key for the signature
// beside a file.
func verifyRelease(ctx context.Context, a *app, keyFile, name string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	if bytes.Contains(key, []byte("BEGIN PGP PUBLIC KEY BLOCK")) {
		return verifyOpenPGP(a, key, name)
	}
	trust, err := release.ParseTrust(key)
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("verifying a release: %w", err)
	}
	dir := name
	if !info.IsDir() {
		dir = filepath.Dir(name)
	}
	m, what, err := checkRelease(name, info.IsDir(), trust, release.Policy{Now: time.Now()}, func(done, total int64) { a.show.progress("verify", done, total) })
	if err != nil {
		return withCode(exitDiffers, err)
	}
	a.show.result("verified", fieldsOf(m, map[string]any{"folder": dir}),
		fmt.Sprintf("%s: release %s of channel %s, valid until %s; %s as signed", name, m.Version, m.Channel, m.Expires, what))
	return ctx.Err()
}

// checkRelease checks a folder, a package, the manifest of a folder, or another
// file of it, and says what was checked.
func checkRelease(name string, folder bool, trust release.Trust, policy release.Policy, report func(done, total int64)) (m release.Manifest, what string, err error) {
	if folder {
		if m, err = publish.CheckManifest(name, trust, policy); err == nil {
			err = publish.CheckFiles(name, m, nil, report)
		}
		return m, fmt.Sprintf("%d files", len(m.All())), err
	}
	packed, err := publish.IsPackage(name)
	if err != nil {
		return m, "", err
	}
	if packed {
		m, err = publish.CheckPackage(name, trust, policy, report)
		return m, "its manifest and full payload", err
	}
	dir, what := filepath.Dir(name), filepath.Base(name)
	m, err = publish.CheckManifest(dir, trust, policy)
	if err == nil && what != release.ManifestFile {
		err = publish.CheckFiles(dir, m, []string{what}, report)
	}
	return m, what, err
}

// verifyOpenPGP checks the signature of a file, or of all signed files of a folder.
func verifyOpenPGP(a *app, key []byte, name string) error {
	files := []string{name}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		if files, err = publish.SignedFiles(name); err != nil {
			return err
		}
	}
	for i, f := range files {
		if err := publish.CheckOpenPGP(f, key); err != nil {
			return withCode(exitDiffers, err)
		}
		a.show.progress("verify", int64(i+1), int64(len(files)))
	}
	a.show.result("verified", map[string]any{"files": files}, fmt.Sprintf("%s: good OpenPGP signature of %d files", name, len(files)))
	return nil
}
