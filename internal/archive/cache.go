package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/lock"
)

// Cache keeps packages and indexes below Dir, the root of the program's
// cache: packages/<sha256>.deb and indexes/<sha256>.xz. Files get their name
// when they are whole and checked, so processes may share a cache.
type Cache struct {
	Dir    string
	Client Client
}

// Progress is the state of a set of downloads. Total and FilesTotal count
// only what has to be downloaded.
type Progress struct {
	Done, Total       int64 // bytes
	Files, FilesTotal int   // whole files
	Current           string
}

// FetchOptions are the wishes of a caller; the zero value is fine.
type FetchOptions struct {
	Progress func(Progress)                   // called from one goroutine at a time
	Logf     func(format string, args ...any) // nil means silent
	Verify   bool                             // hash cached packages again instead of trusting name and size
}

// Fetch makes sure that the packages are in the cache and returns the path of
// each by its SHA-256. Packages that the archive no longer has are reported
// together, with an error that wraps ErrNotFound.
func (c Cache) Fetch(ctx context.Context, packages []lock.Package, o FetchOptions) (map[string]string, error) {
	paths, missing, err := c.fetch(ctx, packages, o)
	if err == nil && len(missing) > 0 {
		err = goneError(missing)
	}
	if err != nil {
		return nil, err
	}
	return paths, nil
}

// fetch also returns the packages that the archive does not have.
func (c Cache) fetch(ctx context.Context, packages []lock.Package, o FetchOptions) (map[string]string, []lock.Package, error) {
	if err := c.Client.Mirror.Check(); err != nil {
		return nil, nil, err
	}
	paths := map[string]string{}
	byPath := map[string]lock.Package{}
	var items []item
	for _, p := range packages {
		it, err := c.item(p)
		if err != nil {
			return nil, nil, err
		}
		if paths[p.SHA256] == "" {
			paths[p.SHA256], byPath[it.Path] = it.Path, p
			items = append(items, it)
		}
	}
	if o.Verify {
		if err := verifyAll(ctx, items, o); err != nil {
			return nil, nil, err
		}
	}
	notFound, err := c.Client.downloadAll(ctx, lacking(items), o)
	var missing []lock.Package
	for _, it := range notFound {
		missing = append(missing, byPath[it.Path])
	}
	return paths, missing, err
}

func (c Cache) item(p lock.Package) (item, error) {
	if err := checkPackage(p); err != nil {
		return item{}, err
	}
	address, err := c.Client.Mirror.address(p.Archive, p.Path)
	if err != nil {
		return item{}, fmt.Errorf("fetching %s: %w", p.ID(), err)
	}
	return item{
		Name: p.ID(), Address: address, Path: filepath.Join(c.Dir, "packages", p.SHA256+".deb"),
		Size: p.Size, SHA256: p.SHA256, Says: "the lock",
	}, nil
}

// lacking returns the items that are not on the disk.
func lacking(items []item) []item {
	var out []item
	for _, it := range items {
		if !isWhole(it.Path, it.Size) {
			out = append(out, it)
		}
	}
	return out
}

// verifyAll removes the files whose content is not that of their name.
func verifyAll(ctx context.Context, items []item, o FetchOptions) error {
	for _, it := range items {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !isWhole(it.Path, it.Size) {
			continue
		}
		sum, err := hashFile(it.Path)
		if err != nil {
			return fmt.Errorf("checking the cached %s: %w", it.Name, err)
		}
		if sum == it.SHA256 {
			continue
		}
		logf(o.Logf).log("the cached %s is damaged and is fetched again", it.Name)
		if err := os.Remove(it.Path); err != nil {
			return fmt.Errorf("removing the damaged %s: %w", it.Name, err)
		}
	}
	return nil
}

func hashFile(name string) (sum string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// downloadAll brings the items, several at a time. Those that the archive
// does not have are returned, in order; any other error ends it.
func (c Client) downloadAll(ctx context.Context, items []item, o FetchOptions) ([]item, error) {
	m := newMeter(items, o.Progress)
	gone := make([]bool, len(items))
	group, limited := errgroup.WithContext(ctx)
	group.SetLimit(c.parallel())
	for i, it := range items {
		group.Go(func() error {
			if limited.Err() != nil {
				return context.Cause(limited)
			}
			err := c.download(limited, it, func(n int64) { m.add(it.Name, n) })
			if errors.Is(err, ErrNotFound) {
				gone[i] = true
				return nil
			}
			if err == nil {
				m.fileDone(it.Name)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var missing []item
	for i, it := range items {
		if gone[i] {
			missing = append(missing, it)
		}
	}
	return missing, nil
}

// A meter adds up what parallel downloads report.
type meter struct {
	mu     sync.Mutex
	state  Progress
	report func(Progress)
}

func newMeter(items []item, report func(Progress)) *meter {
	m := &meter{report: report, state: Progress{FilesTotal: len(items)}}
	for _, it := range items {
		m.state.Total += it.Size
	}
	return m
}

func (m *meter) add(name string, bytes int64) { m.change(name, bytes, 0) }

func (m *meter) fileDone(name string) { m.change(name, 0, 1) }

func (m *meter) change(name string, bytes int64, files int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Done += bytes
	m.state.Files += files
	m.state.Current = name
	if m.report != nil {
		m.report(m.state)
	}
}
