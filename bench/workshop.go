package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/archive"
	"wellcar.dev/internal/lock"
)

// workFolder is where the peer's work folder appears inside the workshop.
const workFolder = "/bench"

// workshopPackages are mkosi and the programs that it calls by name to make a
// bootable Debian image.
var workshopPackages = []string{
	"mkosi", "python3", "apt", "dpkg", "debian-archive-keyring", "ca-certificates", "base-passwd", "passwd", "login.defs",
	"systemd", "systemd-repart", "systemd-ukify", "systemd-boot", "systemd-boot-efi", "python3-pefile", "udev", "kmod",
	"bash", "dash", "coreutils", "util-linux", "mount", "fdisk", "findutils", "grep", "sed", "mawk", "diffutils", "libc-bin",
	"tar", "cpio", "gzip", "xz-utils", "zstd", "e2fsprogs", "dosfstools", "mtools", "openssl", "perl-base",
}

// workshop is a folder with Debian's mkosi and what it needs, unpacked from
// the signed archive without running any maintainer script.
type workshop struct {
	dir     string // the root directory
	version string // mkosi's package version
}

// newWorkshop resolves, fetches and unpacks the workshop below the cache, or
// finds it there.
func newWorkshop(ctx context.Context, cache archive.Cache, logf func(string, ...any)) (workshop, error) {
	o := archive.FetchOptions{Logf: logf}
	l, err := archive.UpdateLock(ctx, archive.Options{Cache: cache, Want: map[string][]string{"workshop": workshopPackages}, Drop: []string{"base-files"}, FetchOptions: o})
	if err != nil {
		return workshop{}, fmt.Errorf("resolving mkosi and its dependencies: %w", err)
	}
	paths, err := cache.Fetch(ctx, l.Packages, o)
	if err != nil {
		return workshop{}, fmt.Errorf("fetching mkosi and its dependencies: %w", err)
	}
	data, err := lock.Marshal(l)
	if err != nil {
		return workshop{}, err
	}
	digest := sha256.Sum256(data)
	w := workshop{dir: filepath.Join(cache.Dir, "bench", "workshop-"+hex.EncodeToString(digest[:6]))}
	var debs []string
	for _, p := range l.Packages {
		debs = append(debs, paths[p.SHA256])
		if p.Name == "mkosi" {
			w.version = p.Version
		}
	}
	if err := archive.Unpack(ctx, debs, w.dir); err != nil {
		return workshop{}, fmt.Errorf("unpacking mkosi and its dependencies: %w", err)
	}
	return w, w.finish()
}

// finish does the little of the maintainer scripts' work that mkosi notices.
func (w workshop) finish() error {
	for _, name := range []string{"passwd", "group"} {
		data, err := os.ReadFile(filepath.Join(w.dir, "usr/share/base-passwd", name+".master"))
		if err != nil {
			return fmt.Errorf("reading Debian's accounts: %w", err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, "etc", name), data, 0o644); err != nil {
			return err
		}
	}
	for _, dir := range []string{"proc", "sys", "dev", "run", "tmp", "var/tmp", "root", strings.TrimPrefix(workFolder, "/")} {
		if err := os.MkdirAll(filepath.Join(w.dir, dir), 0o755); err != nil {
			return err
		}
	}
	err := os.Symlink("mawk", filepath.Join(w.dir, "usr/bin/awk"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	release := "ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie\n"
	return errors.Join(
		os.WriteFile(filepath.Join(w.dir, "usr/lib/os-release"), []byte(release), 0o644),
		os.WriteFile(filepath.Join(w.dir, "etc/resolv.conf"), nil, 0o644))
}
