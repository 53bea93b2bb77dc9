package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"wellcar.dev/internal/archive"
	"wellcar.dev/internal/image"
)

// peer builds the same kind of image with mkosi.
type peer struct {
	shop   workshop
	config peerConfig
	dir    string // workFolder inside the workshop
	logf   func(string, ...any)
}

// newPeer prepares the workshop and mkosi's configuration, and fills mkosi's
// caches with one build that does not count. An error is the reason why there
// are no figures of mkosi.
func newPeer(ctx context.Context, cache archive.Cache, recipe image.Recipe, w workload, key string, logf func(string, ...any)) (*peer, error) {
	if err := mayEnter(); err != nil {
		return nil, err
	}
	shop, err := newWorkshop(ctx, cache, logf)
	if err != nil {
		return nil, err
	}
	p := &peer{shop: shop, logf: logf, dir: filepath.Join(cache.Dir, "bench", "mkosi"),
		config: peerConfig{packages: recipe.Packages, mirror: cache.Client.Mirror, work: w, key: key}}
	if err := p.config.write(p.dir); err != nil {
		return nil, err
	}
	return p, p.warm(ctx)
}

// incremental keeps the installed packages between builds. A plain build that
// knew of that cache would remove it.
var incremental = []string{"--incremental=yes", "--cache-directory=" + workFolder + "/incremental"}

// warm builds once with the network, unless this was done for the same
// packages: the packages and the installed tree stay in mkosi's caches.
func (p *peer) warm(ctx context.Context) error {
	stamp := filepath.Join(p.dir, "warm")
	digest := sha256.Sum256([]byte(p.shop.dir + peerSettings + p.config.packageLines() + p.config.sources()))
	want := hex.EncodeToString(digest[:])
	if got, err := os.ReadFile(stamp); err == nil && string(got) == want {
		return nil
	}
	p.logf("mkosi: filling its caches (a build that does not count)")
	if err := errors.Join(os.RemoveAll(stamp), os.RemoveAll(filepath.Join(p.dir, "incremental")), os.Mkdir(filepath.Join(p.dir, "incremental"), 0o755)); err != nil {
		return err
	}
	if _, err := p.mkosi(ctx, "warm", slices.Concat(incremental, []string{"--cache-only=never"})...); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

// build builds from the package cache alone.
func (p *peer) build(ctx context.Context) (usage, error) { return p.mkosi(ctx, "build") }

// rebuild changes a file that mkosi only copies, and builds with the
// installed packages kept.
func (p *peer) rebuild(ctx context.Context, text string) (usage, error) {
	file := filepath.Join(p.dir, "mkosi.extra/etc/bench-overlay")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return usage{}, fmt.Errorf("changing a file of mkosi's image: %w", err)
	}
	return p.mkosi(ctx, "rebuild", incremental...)
}

func (p *peer) mkosi(ctx context.Context, log string, options ...string) (usage, error) {
	args := append([]string{insideWord, p.shop.dir, p.dir, "mkosi", "--force"}, append(options, "build")...)
	self, err := os.Executable()
	if err != nil {
		return usage{}, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.SysProcAttr = insideAttr()
	u, _, err := run(ctx, cmd, filepath.Join(p.dir, "log", log))
	return u, err
}

// diskImage is the disk that the last build left.
func (p *peer) diskImage() string { return filepath.Join(p.dir, "out/peer.raw") }

// sizes are those of the last build's UKI and disk, in bytes.
func (p *peer) sizes() (uki, disk int64, err error) {
	info, err := os.Stat(filepath.Join(p.dir, "out/peer.efi"))
	if err != nil {
		return 0, 0, fmt.Errorf("measuring mkosi's UKI: %w", err)
	}
	disk, err = storedBytes(p.diskImage())
	return info.Size(), disk, err
}

// measure builds, rebuilds after a change and takes the sizes.
func (p *peer) measure(ctx context.Context, s *series, round int) error {
	u, err := p.build(ctx)
	if err != nil {
		return err
	}
	s.addBuild(u)
	if u, err = p.rebuild(ctx, fmt.Sprintf("bench %d\n", round)); err != nil {
		return err
	}
	s.add(rowRebuild, u.wall.Seconds())
	uki, disk, err := p.sizes()
	if err != nil {
		return err
	}
	s.add(rowUKI, float64(uki))
	s.add(rowImage, float64(disk))
	return nil
}
