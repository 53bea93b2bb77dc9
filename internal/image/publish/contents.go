package publish

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/lock"
)

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
