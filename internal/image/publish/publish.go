package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/klauspost/compress/zstd"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/lock"
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

// deltas makes a payload from each older release, if it differs.
func (m *maker) deltas(ctx context.Context) error {
	done := map[string]bool{m.build.record.RootHash: true}
	for _, dir := range m.From {
		old, err := openBuild(dir)
		if err != nil {
			return err
		}
		if !done[old.record.RootHash] {
			err = m.delta(ctx, old)
		}
		done[old.record.RootHash] = true
		old.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) delta(ctx context.Context, old *build) error {
	name := fmt.Sprintf("delta-%s-%s.wellcar", old.record.Version, old.record.RootHash[:8])
	f, err := os.Create(m.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	stats, err := payload.Delta(ctx, old.image, m.build.image, f, m.options())
	if err != nil {
		return err
	}
	return m.addPayload(release.Payload{Kind: release.Delta, FromVersion: old.record.Version, FromRootHash: old.record.RootHash}, f, stats.Head)
}

func (m *maker) full(ctx context.Context) error {
	f, err := os.Create(m.path(FullFile))
	if err != nil {
		return err
	}
	defer f.Close()
	index, err := os.Create(m.path(IndexFile))
	if err != nil {
		return err
	}
	defer index.Close()
	stats, err := payload.Full(ctx, m.build.image, f, index, m.options())
	if err != nil {
		return err
	}
	if err := m.addPayload(release.Payload{Kind: release.Full}, f, stats.Head); err != nil {
		return err
	}
	info, err := index.Stat()
	if err != nil {
		return err
	}
	return m.addPayload(release.Payload{Kind: release.Index}, index, info.Size())
}

// addPayload lists a payload whose file is written.
func (m *maker) addPayload(p release.Payload, f *os.File, head int64) error {
	file, err := m.sum(filepath.Base(f.Name()))
	if err != nil {
		return err
	}
	data := make([]byte, head)
	if _, err := f.ReadAt(data, 0); err != nil {
		return err
	}
	p.File = file
	check := sha256.Sum256(data)
	p.HeadSize, p.HeadHash = head, hex.EncodeToString(check[:])
	m.payloads = append(m.payloads, p)
	return nil
}

// image compresses the disk image, fast rather than small: most of what a
// machine fetches are updates.
func (m *maker) image(ctx context.Context) error {
	out, err := os.Create(m.path(ImageFile))
	if err != nil {
		return err
	}
	defer out.Close()
	enc, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return err
	}
	info, err := m.build.disk.Stat()
	if err != nil {
		return err
	}
	src := &reporter{ctx: ctx, r: io.NewSectionReader(m.build.disk, 0, info.Size()), report: func(done int64) {
		m.report("image", done, info.Size())
	}}
	if _, err := io.CopyBuffer(struct{ io.Writer }{enc}, src, make([]byte, 1<<20)); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	return out.Close()
}

// reporter is a reader that reports and can be cancelled.
type reporter struct {
	ctx    context.Context
	r      io.Reader
	done   int64
	report func(done int64)
}

func (r *reporter) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	r.done += int64(n)
	r.report(r.done)
	return n, err
}

// records copies what the build says about itself.
func (m *maker) records(context.Context) error {
	for _, name := range []string{image.UKIFile, image.BuildFile, image.ContentsFile, image.LockFile, image.RecipeFile, image.ConfigFile} {
		data, err := os.ReadFile(filepath.Join(m.build.dir, name))
		if err == nil {
			err = os.WriteFile(m.path(name), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return os.WriteFile(m.path(VersionFile), versionText(m.build.record), 0o644)
}

func (m *maker) documents(context.Context) error {
	contents, err := os.ReadFile(m.path(image.ContentsFile))
	if err != nil {
		return err
	}
	bill, err := sbom(m.build.record, contents, m.Date)
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.path(SBOMFile), bill, 0o644); err != nil {
		return err
	}
	text, err := os.ReadFile(m.path(image.LockFile))
	if err != nil {
		return err
	}
	l, err := lock.Parse(text)
	if err != nil {
		return err
	}
	files, err := m.list(nil)
	if err != nil {
		return err
	}
	statement, err := provenance(m.build.record, l, files)
	if err != nil {
		return err
	}
	return os.WriteFile(m.path(ProvenanceFile), statement, 0o644)
}

// signed are the files that get an OpenPGP signature; digested those that
// get digests, too.
var (
	digested = []string{ImageFile, image.UKIFile}
	signed   = append([]string{VersionFile, image.ContentsFile, image.ConfigFile, SBOMFile, ProvenanceFile}, digested...)
)

func (m *maker) signatures(context.Context) error {
	for _, name := range signed {
		if err := signFile(m.path(name), m.Keys.Image, m.Date); err != nil {
			return err
		}
	}
	for _, name := range digested {
		if err := writeDigests(m.path(name), m.Keys.Image, m.Date); err != nil {
			return err
		}
	}
	return nil
}

// sum describes a file of the folder, which does not change any more. It is read
// once, however often it is asked for.
func (m *maker) sum(name string) (release.File, error) {
	if f, ok := m.sums[name]; ok {
		return f, nil
	}
	size, sum, err := sumFile(m.path(name))
	if err != nil {
		return release.File{}, err
	}
	if m.sums == nil {
		m.sums = map[string]release.File{}
	}
	m.sums[name] = release.File{Name: name, Size: size, SHA256: hex.EncodeToString(sum[:])}
	return m.sums[name], nil
}

// writeSum puts the digest of a file beside it.
func (m *maker) writeSum(name string) error {
	f, err := m.sum(name)
	if err != nil {
		return err
	}
	return os.WriteFile(m.path(name+".sha256"), fmt.Appendf(nil, "%s  %s\n", f.SHA256, name), 0o644)
}

// list describes the files of the folder but those left out, by name.
func (m *maker) list(leave map[string]bool) ([]release.File, error) {
	entries, err := os.ReadDir(m.tmp)
	if err != nil {
		return nil, err
	}
	var all []release.File
	for _, e := range entries {
		if leave[e.Name()] {
			continue
		}
		file, err := m.sum(e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, file)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
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
