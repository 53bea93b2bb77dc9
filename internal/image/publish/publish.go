package publish

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/release"
)

// maker carries one release through its phases.
type maker struct {
	Input
	build    *build
	tmp      string
	payloads []release.Payload
	sums     map[string]release.File // of files that do not change any more
}

// Make writes a release folder. It appears when it is whole.
func Make(ctx context.Context, in Input) (Result, error) {
	if entries, err := os.ReadDir(in.Out); err == nil && len(entries) > 0 {
		return Result{}, fmt.Errorf("making a release: %s is not empty; name another folder", in.Out)
	}
	b, err := openBuild(in.Build)
	if err != nil {
		return Result{}, err
	}
	defer b.Close()
	if err := b.check(); err != nil {
		return Result{}, err
	}
	m := &maker{Input: in, build: b}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(in.Out)), 0o777); err != nil {
		return Result{}, fmt.Errorf("making a release: %w", err)
	}
	if m.tmp, err = os.MkdirTemp(filepath.Dir(filepath.Clean(in.Out)), ".release-"); err != nil {
		return Result{}, fmt.Errorf("making a release: %w", err)
	}
	defer os.RemoveAll(m.tmp)
	result, err := m.run(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("making a release: %w", err)
	}
	return result, nil
}

func (m *maker) run(ctx context.Context) (Result, error) {
	steps := []func(context.Context) error{m.deltas}
	if !m.Deltas {
		steps = append(steps, m.full)
	}
	if !m.Deltas && !m.Update {
		steps = append(steps, m.image, m.takeover, m.records, m.documents, m.signatures)
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if err := step(ctx); err != nil {
			return Result{}, err
		}
	}
	if len(m.payloads) == 0 {
		return Result{}, fmt.Errorf("%s is the same system as every older build, and has no delta from it", m.Build)
	}
	manifest, err := m.manifest()
	if err != nil {
		return Result{}, err
	}
	if err := os.Chmod(m.tmp, 0o755); err != nil {
		return Result{}, err
	}
	if err := os.Remove(m.Out); err != nil && !errors.Is(err, os.ErrNotExist) {
		return Result{}, err
	}
	size := int64(0)
	for _, f := range manifest.All() {
		size += f.Size
	}
	return Result{manifest, size}, os.Rename(m.tmp, m.Out)
}

func (m *maker) path(name string) string { return filepath.Join(m.tmp, name) }

func (m *maker) report(phase string, done, total int64) {
	if m.Progress != nil {
		m.Progress(phase, done, total)
	}
}

func (m *maker) options() payload.Options {
	return payload.Options{Fast: m.Fast, Parallel: m.Parallel, Progress: m.Progress}
}

// manifest writes the manifest and its signature.
func (m *maker) manifest() (release.Manifest, error) {
	payloads := map[string]bool{}
	for _, p := range m.payloads {
		payloads[p.Name] = true
	}
	files, err := m.list(payloads)
	if err != nil {
		return release.Manifest{}, err
	}
	r, b := m.build.record, m.build.image.Release
	minimum := m.Minimum
	if minimum == "" {
		minimum = r.Version
	}
	usr, err := usrSum(m.build.image)
	if err != nil {
		return release.Manifest{}, err
	}
	manifest := release.Manifest{
		Schema: release.Schema, Product: release.Product, Board: r.Board, Channel: m.Channel, Version: r.Version, Minimum: minimum,
		Expires: release.FormatTime(m.Expires), RootHash: r.RootHash, Salt: hex.EncodeToString(b.Salt[:]),
		UsrSize: r.Usr.DataSize, TreeSize: r.Usr.TreeSize, UsrHash: usr, UKISize: r.UKI.Size, UKIHash: r.UKI.SHA256,
		Payloads: m.payloads, Files: files,
	}
	data, err := release.Marshal(manifest)
	if err != nil {
		return manifest, err
	}
	signature, err := release.Sign(data, m.Keys.Release, m.Keys.Certificates)
	if err != nil {
		return manifest, err
	}
	if err := os.WriteFile(m.path(release.ManifestFile), data, 0o644); err != nil {
		return manifest, err
	}
	if err := os.WriteFile(m.path(release.SignatureFile), signature, 0o644); err != nil {
		return manifest, err
	}
	return manifest, m.pack(data, signature)
}

// pack writes the package, with its digest beside it. The manifest, which is
// in it, cannot list it.
func (m *maker) pack(manifest, signature []byte) error {
	if !m.Package {
		return nil
	}
	full, err := os.Open(m.path(FullFile))
	if err != nil {
		return err
	}
	defer full.Close()
	out, err := os.Create(m.path(release.PackageFile))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := release.WritePackage(out, manifest, signature, full); err != nil {
		return err
	}
	return m.writeSum(release.PackageFile)
}
