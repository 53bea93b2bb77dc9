package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/format/deb"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/filelock"
)

// Unpack puts the files of packages into a new directory, as a set of tools
// that can be moved: no owners, no special modes, no devices, absolute
// symlinks made relative, and bin, sbin, lib, lib64 as links into usr. The
// directory gets its name when it is whole; if it exists, nothing is done.
// It needs no privileges. Two packages must not bring the same file.
func Unpack(ctx context.Context, debs []string, dir string) (err error) {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	partial, done, err := beginPartial(dir)
	if err != nil {
		return fmt.Errorf("unpacking into %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := unpackAll(ctx, debs, partial); err != nil {
		return err
	}
	err = os.Rename(partial, dir)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil // another process was faster
	}
	return err
}

// beginPartial makes the directory to fill, "dir.partial-*", and removes
// those that ended processes left behind; a lock on the directory tells which
// ones are in use. done removes it unless it was renamed.
func beginPartial(dir string) (partial string, done func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return "", nil, err
	}
	if err := removeStale(dir); err != nil {
		return "", nil, err
	}
	partial, err = os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".partial-*")
	if err != nil {
		return "", nil, err
	}
	f, err := lockDir(partial)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(partial))
	}
	return partial, func() error { return errors.Join(os.RemoveAll(partial), f.Close()) }, os.Chmod(partial, 0o755)
}

// staleAfter is how old an unlocked partial directory must be to be stale; a
// younger one may be about to be locked.
const staleAfter = time.Hour

func removeStale(dir string) error {
	siblings, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		return err
	}
	for _, s := range siblings {
		if !strings.HasPrefix(s.Name(), filepath.Base(dir)+".partial-") {
			continue
		}
		info, err := s.Info()
		if err != nil || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		name := filepath.Join(filepath.Dir(dir), s.Name())
		f, err := lockDir(name)
		if err != nil {
			continue // in use, or gone
		}
		if err := errors.Join(os.RemoveAll(name), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func lockDir(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if err := filelock.Try(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func unpackAll(ctx context.Context, debs []string, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	u := &unpacker{root: root, owner: map[string]string{}}
	if err := u.mergeUsr(); err != nil {
		return err
	}
	group, limited := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, deb := range debs {
		group.Go(func() error {
			if err := u.unpack(limited, deb); err != nil {
				return fmt.Errorf("unpacking %s: %w", deb, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// An unpacker writes below root, which no path and no symlink can leave.
type unpacker struct {
	root  *os.Root
	mu    sync.Mutex
	owner map[string]string // which package brought a path that is no directory
}

func (u *unpacker) mergeUsr() error {
	for _, name := range layout.UsrLinks {
		if err := u.root.MkdirAll("usr/"+name, 0o755); err != nil {
			return err
		}
		if err := u.root.Symlink("usr/"+name, name); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) unpack(ctx context.Context, name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := deb.Open(f, info.Size())
	if err != nil {
		return err
	}
	files, closer, err := p.Data()
	if err != nil {
		return err
	}
	defer closer.Close()
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := u.entry(name, h, files); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// entry writes one entry of a tar.
func (u *unpacker) entry(deb string, h *tar.Header, content io.Reader) error {
	name, err := inTree(h.Name)
	if err != nil || name == "." {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return u.root.MkdirAll(name, 0o755)
	}
	if slices.Contains(layout.UsrLinks, strings.TrimPrefix(name, "usr/")) {
		return nil // base-files brings the same links
	}
	if err := u.claim(name, deb); err != nil {
		return err
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return u.file(name, h.FileInfo().Mode(), content)
	case tar.TypeSymlink:
		target, err := relativeTarget(name, h.Linkname)
		if err != nil {
			return err
		}
		return u.root.Symlink(target, name)
	case tar.TypeLink:
		target, err := inTree(h.Linkname)
		if err != nil {
			return err
		}
		return u.root.Link(target, name)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil // of no use to tools
	default:
		return fmt.Errorf("entries of type %q are not known", h.Typeflag)
	}
}

// claim notes which package brings a path.
func (u *unpacker) claim(name, deb string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if other := u.owner[name]; other != "" {
		return fmt.Errorf("%s brings it as well", other)
	}
	u.owner[name] = deb
	return nil
}

func (u *unpacker) file(name string, mode fs.FileMode, content io.Reader) (err error) {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	return f.Chmod(mode.Perm()&0o755 | 0o644)
}

// inTree cleans the name of an entry: relative, without dots, and with the
// top directories that are links replaced by what they stand for.
func inTree(name string) (string, error) {
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", errors.New("it leads outside the tree")
		}
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return ".", nil
	}
	top, _, _ := strings.Cut(name, "/")
	if slices.Contains(layout.UsrLinks, top) {
		return "usr/" + name, nil
	}
	return name, nil
}

// relativeTarget is the target of the symlink name, relative to its place.
func relativeTarget(name, target string) (string, error) {
	if target == "" {
		return "", errors.New("it is a symlink to nothing")
	}
	if !path.IsAbs(target) {
		if !filepath.IsLocal(path.Join(path.Dir(name), target)) {
			return "", fmt.Errorf("it is a symlink to %s, which is outside the tree", target)
		}
		return target, nil
	}
	target, err := inTree(target)
	if err != nil {
		return "", fmt.Errorf("it is a symlink to %s: %w", target, err)
	}
	return filepath.Rel(path.Dir(name), target)
}
