package rootfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// ReadFile reads a whole regular file. A link at the name is an error.
func (r *Root) ReadFile(name string) ([]byte, error) {
	fd, err := r.openLast(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path.Clean("/"+name))
	defer f.Close()
	return io.ReadAll(f)
}

// ReadTo is ReadFile for files that need not fit into memory.
func (r *Root) ReadTo(name string, w io.Writer) error {
	fd, err := r.openLast(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), path.Clean("/"+name))
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func (r *Root) openLast(name string, flags int, mode uint32) (int, error) {
	fd := -1
	err := r.within("open", name, func(dir int, base string) (err error) {
		fd, err = unix.Openat(dir, base, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

// Mkdir makes one directory with exactly these permissions.
func (r *Root) Mkdir(name string, perm uint32) error {
	return r.within("mkdir", name, func(dir int, base string) error {
		if err := unix.Mkdirat(dir, base, perm); err != nil {
			return err
		}
		return unix.Fchmodat(dir, base, perm, 0)
	})
}

// MkdirAll makes a directory and its missing parents. Links on the way, also
// dangling ones, are followed inside the root. Directories that are there
// keep their permissions.
func (r *Root) MkdirAll(name string, perm uint32) error {
	fd, err := r.open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err == nil {
		return unix.Close(fd)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return wrap("mkdir", name, err)
	}
	full, err := r.follow(path.Clean("/" + name))
	if err != nil {
		return err
	}
	if full == "/" {
		return nil
	}
	if err := r.MkdirAll(path.Dir(full), perm); err != nil {
		return err
	}
	if err := r.Mkdir(full, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// WriteFile is WriteFrom for data in memory.
func (r *Root) WriteFile(name string, data []byte, m Meta) error {
	return r.WriteFrom(name, m, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFrom makes a file that is complete from the moment it appears: write
// fills a temporary file beside it, which then takes the name and with it the
// place of any file or link there. If write fails, nothing is left of it, and
// its error is returned as it is. The parent directory must exist.
func (r *Root) WriteFrom(name string, m Meta, write func(io.Writer) error) error {
	return asItIs(&write, func() error { return r.writeFrom(name, m, write) })
}

func (r *Root) writeFrom(name string, m Meta, write func(io.Writer) error) error {
	return r.within("write", name, func(dir int, base string) error {
		tmp, fd, err := r.createTemp(dir)
		if err != nil {
			return err
		}
		if err = r.fill(fd, name, m, write); err == nil {
			err = unix.Renameat(dir, tmp, dir, base)
		}
		if err != nil {
			unix.Unlinkat(dir, tmp, 0)
			return err
		}
		if m.Sync {
			return syncDir(dir)
		}
		return nil
	})
}

// syncDir makes the names in a directory, open as a path, durable.
func syncDir(dir int) error {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsync(fd)
}

func (r *Root) createTemp(dir int) (string, int, error) {
	for {
		tmp := ".wellcar-" + strconv.FormatUint(r.counter.Add(1), 10)
		fd, err := unix.Openat(dir, tmp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != unix.EEXIST {
			return tmp, fd, err
		}
	}
}

// fill has the file written, sets the owner and then the mode, since a change
// of owner clears the setuid bits, and closes fd.
func (r *Root) fill(fd int, name string, m Meta, write func(io.Writer) error) error {
	f := os.NewFile(uintptr(fd), path.Clean("/"+name))
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := r.fchown(fd, name, m.UID, m.GID); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, m.Perm); err != nil {
		return err
	}
	if m.Sync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return f.Close()
}

func (r *Root) fchown(fd int, name string, uid, gid int) error {
	if uid == Unset && gid == Unset {
		return nil
	}
	if r.chown != nil {
		return r.chown(path.Clean("/"+name), uid, gid)
	}
	return unix.Fchown(fd, uid, gid)
}

// AppendFile adds data to the end of a regular file, made with perm if
// missing.
func (r *Root) AppendFile(name string, data []byte, perm uint32) error {
	fd, err := r.openLast(name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT, perm)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), path.Clean("/"+name))
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Close()
}

// AppendFrom adds what write gives to the end of a regular file, made with
// perm if missing. It is gathered in a nameless file beside it first, so that
// the file changes only once all of it is there. An error of write is returned
// as it is.
func (r *Root) AppendFrom(name string, perm uint32, write func(io.Writer) error) error {
	return asItIs(&write, func() error { return r.appendFrom(name, perm, write) })
}

// asItIs calls do and returns the error of write, if it had one, without what
// do puts around it.
func asItIs(write *func(io.Writer) error, do func() error) error {
	var cause error
	inner := *write
	*write = func(w io.Writer) error {
		cause = inner(w)
		return cause
	}
	if err := do(); cause == nil {
		return err
	}
	return cause
}

func (r *Root) appendFrom(name string, perm uint32, write func(io.Writer) error) error {
	return r.within("append", name, func(dir int, _ string) error {
		tmp, fd, err := r.createTemp(dir)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), path.Clean("/"+name))
		defer f.Close()
		if err := unix.Unlinkat(dir, tmp, 0); err != nil {
			return err
		}
		if err := write(f); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return r.appendAll(name, f, perm)
	})
}

// appendAll adds all of a reader to a file, or nothing.
func (r *Root) appendAll(name string, from io.Reader, perm uint32) error {
	fd, err := r.openLast(name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT, perm)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), path.Clean("/"+name))
	defer f.Close()
	was, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		return errors.Join(err, f.Truncate(was.Size()))
	}
	return f.Close()
}

// Symlink makes a link to target, which is written as it is.
func (r *Root) Symlink(target, name string) error {
	return r.within("symlink", name, func(dir int, base string) error {
		return unix.Symlinkat(target, dir, base)
	})
}

// Link makes name another name of the file at old. Neither is followed.
func (r *Root) Link(old, name string) error {
	return r.within("link", old, func(oldDir int, oldBase string) error {
		return r.within("link", name, func(dir int, base string) error {
			return unix.Linkat(oldDir, oldBase, dir, base, 0)
		})
	})
}

// Chown changes the owner of what is at the name, of a link itself too.
// Unset leaves that half.
func (r *Root) Chown(name string, uid, gid int) error {
	if uid == Unset && gid == Unset {
		return nil
	}
	if r.chown != nil {
		return r.chown(path.Clean("/"+name), uid, gid)
	}
	return r.within("chown", name, func(dir int, base string) error {
		return unix.Fchownat(dir, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Chmod sets the permissions of a file or directory. A link is an error.
func (r *Root) Chmod(name string, perm uint32) error {
	fd, err := r.openLast(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return wrap("chmod", name, unix.Fchmod(fd, perm))
}

// As runs f with the file access rights of another user: a link that this
// user planted leads nowhere the user could not go. Supplementary groups stay.
// Without root rights, and where changes of owner are not real
// (Options.Chown), f runs as it is.
func (r *Root) As(uid, gid int, f func() error) error {
	if os.Geteuid() != 0 || uid == 0 || r.chown != nil {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	oldGID, _ := unix.SetfsgidRetGid(gid)
	oldUID, _ := unix.SetfsuidRetUid(uid)
	defer func() {
		unix.SetfsuidRetUid(oldUID)
		unix.SetfsgidRetGid(oldGID)
	}()
	return f()
}
