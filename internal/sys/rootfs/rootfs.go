// Package rootfs changes files inside a root directory as if that directory
// were "/": symlinks met on the way, absolute ones too, are followed within
// it, so that no path given to it can lead outside. The kernel does the
// resolving (openat2 with RESOLVE_IN_ROOT, Linux 5.6).
//
// In every operation the last component of a name is taken as it is and never
// followed; only Resolve and the parents follow links. Names are absolute or
// relative to the root, which is the same. Errors name the path as the root
// sees it and wrap the io/fs sentinels.
//
// A Root may be used by several goroutines, except As, whose effect is bound
// to the calling one.
package rootfs

import "io/fs"

// Unset leaves an owner as it is.
const Unset = -1

// Info is what there is at a name. Mode has the type bits of io/fs and the
// permission bits including setuid, setgid and sticky in Perm.
type Info struct {
	Type   fs.FileMode // type bits only; 0 is a regular file
	Perm   uint32      // 0..07777
	UID    int
	GID    int
	Size   int64 // bytes
	Inode  uint64
	Device uint64
}

// Regular tells whether it is a regular file.
func (i Info) Regular() bool { return i.Type == 0 }

// Dir tells whether it is a directory.
func (i Info) Dir() bool { return i.Type == fs.ModeDir }

// Symlink tells whether it is a symbolic link.
func (i Info) Symlink() bool { return i.Type == fs.ModeSymlink }

// Same tells whether both are names of one inode.
func (i Info) Same(o Info) bool { return i.Inode == o.Inode && i.Device == o.Device }

// Meta is the owner and mode of a new file. An Unset owner stays that of the
// process.
type Meta struct {
	Perm uint32 // 0..07777, not reduced by a umask
	UID  int
	GID  int
	Sync bool // on the disk, content before name, when the call returns
}

// Options change how a root is used.
type Options struct {
	// Chown, if set, is called in place of each change of owner. Tests that
	// do not run as root record owners with it.
	Chown func(name string, uid, gid int) error
}
