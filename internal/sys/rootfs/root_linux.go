package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Most links that one path may lead through, as in the kernel.
const maxLinks = 40

// Root is an open root directory.
type Root struct {
	dir     *os.File
	name    string
	chown   func(name string, uid, gid int) error
	counter atomic.Uint64
}

// Open opens a directory of the host as a root. The caller closes it.
func Open(dir string, opt Options) (*Root, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the root directory: %w", err)
	}
	return &Root{dir: f, name: dir, chown: opt.Chown}, nil
}

// Close closes the root. Operations after it fail.
func (r *Root) Close() error { return r.dir.Close() }

// Dir is the host's path of the root.
func (r *Root) Dir() string { return r.name }

// Sync writes the file system of the root to its disk, and those that files
// and directories at some names are on, and waits for it. Names with nothing
// or a link there are passed over.
func (r *Root) Sync(names ...string) error {
	done := map[uint64]bool{}
	if err := syncOnce(int(r.dir.Fd()), done); err != nil {
		return fmt.Errorf("writing %s to disk: %w", r.name, err)
	}
	for _, name := range names {
		fd, err := r.openLast(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err == nil {
			err = syncOnce(fd, done)
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("writing the file system of %s to disk: %w", name, err)
		}
	}
	return nil
}

// syncOnce syncs the file system of an open file unless that is done.
func syncOnce(fd int, done map[uint64]bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || done[uint64(st.Dev)] {
		return err
	}
	done[uint64(st.Dev)] = true
	return unix.Syncfs(fd)
}

// open opens a name in the root, following links within it unless flags say
// otherwise.
func (r *Root) open(name string, flags int, mode uint32) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	rel := strings.TrimPrefix(path.Clean("/"+name), "/")
	if rel == "" {
		rel = "."
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(int(r.dir.Fd()), rel, &how)
		// EAGAIN: a rename elsewhere made the kernel unsure; it says to retry.
		if (err == unix.EAGAIN && try < 100) || err == unix.EINTR {
			continue
		}
		return fd, err
	}
}

// within calls f with the open parent directory of name and the last
// component. op and name go into the error.
func (r *Root) within(op, name string, f func(dir int, base string) error) error {
	dir, err := r.open(path.Dir(path.Clean("/"+name)), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return wrap(op, name, err)
	}
	defer unix.Close(dir)
	base := path.Base(path.Clean("/" + name))
	if base == "/" {
		base = "."
	}
	return wrap(op, name, f(dir, base))
}

func wrap(op, name string, err error) error {
	var p *fs.PathError
	if err == nil || errors.As(err, &p) {
		return err
	}
	return &fs.PathError{Op: op, Path: path.Clean("/" + name), Err: err}
}

// Lstat tells what there is at a name.
func (r *Root) Lstat(name string) (Info, error) {
	var st unix.Stat_t
	err := r.within("stat", name, func(dir int, base string) error {
		return unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	return infoOf(&st), err
}

// Stat is like Lstat, but follows the last component too.
func (r *Root) Stat(name string) (Info, error) {
	fd, err := r.open(name, unix.O_PATH, 0)
	if err != nil {
		return Info{}, wrap("stat", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	return infoOf(&st), wrap("stat", name, err)
}

func infoOf(st *unix.Stat_t) Info {
	i := Info{Perm: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid), Size: st.Size, Inode: st.Ino, Device: uint64(st.Dev)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		i.Type = fs.ModeDir
	case unix.S_IFLNK:
		i.Type = fs.ModeSymlink
	case unix.S_IFIFO:
		i.Type = fs.ModeNamedPipe
	case unix.S_IFSOCK:
		i.Type = fs.ModeSocket
	case unix.S_IFBLK:
		i.Type = fs.ModeDevice
	case unix.S_IFCHR:
		i.Type = fs.ModeDevice | fs.ModeCharDevice
	}
	return i
}

// Readlink returns the target of the link at a name, as it is written.
func (r *Root) Readlink(name string) (string, error) {
	var target string
	err := r.within("readlink", name, func(dir int, base string) error {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(dir, base, buf)
		if err == nil {
			target = string(buf[:n])
		}
		return err
	})
	return target, err
}

// Resolve returns name with every link in its parents replaced by what it
// leads to inside the root. What does not exist yet is taken as it is written.
func (r *Root) Resolve(name string) (string, error) {
	clean := path.Clean("/" + name)
	if clean == "/" {
		return clean, nil
	}
	dir, err := r.follow(path.Dir(clean))
	if err != nil {
		return "", err
	}
	return path.Join(dir, path.Base(clean)), nil
}

// follow resolves every component of a clean absolute path.
func (r *Root) follow(name string) (string, error) {
	done, rest, links := "/", strings.Split(name, "/"), 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		next := path.Join(done, part)
		if part == "" || part == "." || part == ".." {
			done = next
			continue
		}
		target, err := r.Readlink(next)
		switch {
		case err == nil:
			if links++; links > maxLinks {
				return "", wrap("resolve", name, unix.ELOOP)
			}
			if path.IsAbs(target) {
				done = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		case errors.Is(err, unix.EINVAL), errors.Is(err, fs.ErrNotExist):
			done = next // no link, or nothing yet
		default:
			return "", err
		}
	}
	return done, nil
}

// ReadOnly tells whether the file system that a name is on is mounted
// read-only.
func (r *Root) ReadOnly(name string) bool {
	fd, err := r.open(name, unix.O_PATH, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}
