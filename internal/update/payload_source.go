//go:build linux

package update

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/release"
)

// source is where the bytes of a payload come from.
type source interface {
	read(ctx context.Context, p []byte, offset int64) error
	until(end int64)
	moved(done, total int64, report func(done, total int64))
	close()
}

func (j *job) source(p release.Payload) (source, error) {
	name, at := j.rel.place(p)
	if j.Remote != nil {
		return &stream{remote: j.Remote, url: omaha.Join(j.rel.Base, name), base: at}, nil
	}
	f, err := os.Open(filepath.Join(j.rel.Base, name))
	if err != nil {
		return nil, fail(omaha.CodeDownload, "opening the payload: %w", err)
	}
	return &localFile{f: f, base: at}, nil
}

// localFile is a payload on the machine.
type localFile struct {
	f           *os.File
	base        int64
	done, total int64
	report      func(done, total int64)
}

func (l *localFile) read(_ context.Context, p []byte, offset int64) error {
	if _, err := io.ReadFull(io.NewSectionReader(l.f, l.base+offset, int64(len(p))), p); err != nil {
		return fail(omaha.CodeDownload, "reading %s: %w", l.f.Name(), err)
	}
	l.done += int64(len(p))
	if l.report != nil {
		l.report(l.done, l.total)
	}
	return nil
}

func (l *localFile) until(int64) {}

func (l *localFile) moved(done, total int64, report func(done, total int64)) {
	l.done, l.total, l.report = done, total, report
}

func (l *localFile) close() { l.f.Close() }
