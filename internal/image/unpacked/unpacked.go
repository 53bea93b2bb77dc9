// Package unpacked is the cache of extracted packages. A package is a folder
// with two files: `data`, the contents of all its files one after the other,
// and `index`, its nodes with the offsets into data and with what the build
// wants to know of each file (see Facts). An index is read in well under a
// millisecond, so a warm build never opens a package again.
//
// Entries are made under a temporary name and renamed, so that a reader sees
// a whole entry or none, and two builds may share a cache.
package unpacked

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/format/fstree"
)

// Version is part of each key; it grows with the format of an entry.
const Version = 1

// ExtractFunc reads a .deb of size bytes, writes the contents of the wanted
// files to data and returns all wanted nodes: clean relative paths, merged
// /usr, kernel modules decompressed and named ".ko", and in each Blob the
// offset into data, the size and the digest, but no source. A nil keep
// wants everything.
type ExtractFunc func(pkg io.ReaderAt, size int64, data io.Writer, keep func(path string) bool) ([]fstree.Node, error)

// Cache is a folder of unpacked packages.
type Cache struct {
	Dir     string
	Extract ExtractFunc
}

// Job asks for one package.
type Job struct {
	ID   string                 // for messages
	Key  string                 // names content and filter: one entry of the cache
	Size int64                  // of the .deb, bytes
	Open func() (Source, error) // called only if the entry is missing
	Keep func(path string) bool // nil for everything
}

// Source is an open package file.
type Source interface {
	io.ReaderAt
	io.Closer
}

// Package is an open entry. Its nodes' blobs read from the entry's data file,
// which is opened at the first read. Nodes must not be changed.
type Package struct {
	ID    string
	Nodes []fstree.Node
	Facts map[[32]byte]Facts // by content, of those files that have any
	data  *lazyFile
}

// Close closes the data file; the blobs cannot be read any more.
func (p *Package) Close() error { return p.data.Close() }

// Missing returns the jobs without an entry.
func (c Cache) Missing(jobs []Job) []Job {
	var out []Job
	for _, j := range jobs {
		if _, err := os.Stat(filepath.Join(c.Dir, j.Key, "index")); err != nil {
			out = append(out, j)
		}
	}
	return out
}

// Fill unpacks the jobs that have no entry, the biggest first, at most
// workers at a time. Progress, if not nil, is called with done and total
// bytes of packages, from one goroutine at a time.
func (c Cache) Fill(ctx context.Context, jobs []Job, workers int, progress func(done, total int64)) error {
	missing := c.Missing(jobs)
	slices.SortStableFunc(missing, func(a, b Job) int { return cmp.Compare(b.Size, a.Size) })
	var total, done int64
	for _, j := range missing {
		total += j.Size
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(workers, 1))
	for _, j := range missing {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.unpack(ctx, j); err != nil {
				return fmt.Errorf("unpacking %s: %w", j.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if done += j.Size; progress != nil {
				progress(done, total)
			}
			return nil
		})
	}
	return group.Wait()
}

func (c Cache) unpack(ctx context.Context, j Job) error {
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(c.Dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := c.extract(ctx, j, tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	final := filepath.Join(c.Dir, j.Key)
	if err := os.Rename(tmp, final); err != nil && !isEntry(final) {
		return err
	}
	return nil
}

// isEntry tells a lost race with another build, which is fine, from an error.
func isEntry(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "index"))
	return err == nil
}

func (c Cache) extract(ctx context.Context, j Job, dir string) error {
	src, err := j.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	data, err := os.Create(filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer data.Close()
	w := bufio.NewWriterSize(contextWriter{ctx, data}, 256<<10)
	nodes, err := c.Extract(src, j.Size, w, j.Keep)
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	facts := map[[32]byte]Facts{}
	for _, n := range nodes {
		if n.Kind != fstree.File || n.Blob.Size == 0 {
			continue
		}
		n.Blob.Source = data
		if f := Examine(n.Blob); !f.empty() {
			facts[n.Blob.SHA256] = f
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "index"), encode(nodes, facts), 0o666); err != nil {
		return err
	}
	return data.Close()
}

// contextWriter ends a long extraction when the build is cancelled.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c contextWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// Open reads an entry. A missing entry is fs.ErrNotExist; a damaged one is
// deleted and reported as missing too.
func (c Cache) Open(j Job) (*Package, error) {
	dir := filepath.Join(c.Dir, j.Key)
	index, err := os.ReadFile(filepath.Join(dir, "index"))
	if err != nil {
		return nil, fmt.Errorf("opening the unpacked %s: %w", j.ID, err)
	}
	nodes, facts, err := decode(index)
	if err == nil {
		err = checkSize(filepath.Join(dir, "data"), nodes)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the unpacked %s: %w", j.ID, errors.Join(err, fs.ErrNotExist, os.RemoveAll(dir)))
	}
	p := &Package{ID: j.ID, Nodes: nodes, Facts: facts, data: &lazyFile{name: filepath.Join(dir, "data")}}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		if n.Origin = j.ID; n.Kind == fstree.File {
			n.Blob.Source = p.data
		}
	}
	return p, nil
}

// OpenAll opens the entries of all jobs, in the order of the jobs.
func (c Cache) OpenAll(jobs []Job, workers int) ([]*Package, error) {
	out := make([]*Package, len(jobs))
	var group errgroup.Group
	group.SetLimit(max(workers, 1))
	for i, j := range jobs {
		group.Go(func() (err error) {
			out[i], err = c.Open(j)
			return err
		})
	}
	return out, group.Wait()
}

func checkSize(name string, nodes []fstree.Node) error {
	var end int64
	for _, n := range nodes {
		if n.Kind == fstree.File {
			end = max(end, n.Blob.Offset+n.Blob.Size)
		}
	}
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	if st.Size() < end {
		return fmt.Errorf("its data has %d of %d bytes", st.Size(), end)
	}
	return nil
}

// lazyFile opens a file at the first read.
type lazyFile struct {
	name string
	mu   sync.Mutex
	file *os.File
}

func (l *lazyFile) ReadAt(p []byte, off int64) (int, error) {
	f, err := l.open()
	if err != nil {
		return 0, err
	}
	return f.ReadAt(p, off)
}

func (l *lazyFile) open() (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		return l.file, nil
	}
	f, err := os.Open(l.name)
	l.file = f
	return f, err
}

func (l *lazyFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
