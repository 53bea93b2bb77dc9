//go:build linux

// Package mount puts file systems in place: a mount is a value that can be
// listed in a table, printed and compared, and is carried out by Mount.
//
// System calls: mount(2), umount2(2), chroot(2). The package does not read
// /proc/self/mountinfo and does not know fstab.
package mount

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount is one mount to make.
type Mount struct {
	Source string // device, or any word for a file system without one
	Target string // directory; created (0755) when missing
	Type   string // kernel's name of the file system; empty for a bind or a remount
	Flags  uintptr
	Data   string // options of the file system, comma-separated
}

// String describes the mount as in fstab: "ext4 /dev/vda9 on /sysroot (ro,data=ordered)".
func (m Mount) String() string {
	what := m.Type
	if what == "" {
		what = "bind"
	}
	s := what + " " + m.Source + " on " + m.Target
	if opts := optionString(m.Flags, m.Data); opts != "" {
		s += " (" + opts + ")"
	}
	return s
}

// Mount carries it out.
func (m Mount) Mount() error {
	if err := os.MkdirAll(m.Target, 0o755); err != nil {
		return fmt.Errorf("mounting %s: %w", m, err)
	}
	if err := unix.Mount(m.Source, m.Target, m.Type, m.Flags, m.Data); err != nil {
		return fmt.Errorf("mounting %s: %w", m, err)
	}
	return nil
}

// Bind is a second view of a directory at another place.
func Bind(source, target string) Mount {
	return Mount{Source: source, Target: target, Flags: unix.MS_BIND}
}

// Remount is the same mount with its flags changed.
func (m Mount) Remount(flags uintptr) Mount {
	m.Flags = flags | unix.MS_REMOUNT
	return m
}

// Unmount detaches the file system at target; it ends when its last user is
// gone.
func Unmount(target string) error {
	if err := unix.Unmount(target, 0); err == nil || err == unix.EINVAL {
		return nil
	}
	if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting %s: %w", target, err)
	}
	return nil
}

type option struct {
	name string
	flag uintptr
	off  bool // the option clears the flag
}

// options are those of mount(8) that the kernel takes as flags.
var options = []option{
	{"ro", unix.MS_RDONLY, false}, {"rw", unix.MS_RDONLY, true},
	{"nosuid", unix.MS_NOSUID, false}, {"suid", unix.MS_NOSUID, true},
	{"nodev", unix.MS_NODEV, false}, {"dev", unix.MS_NODEV, true},
	{"noexec", unix.MS_NOEXEC, false}, {"exec", unix.MS_NOEXEC, true},
	{"sync", unix.MS_SYNCHRONOUS, false}, {"async", unix.MS_SYNCHRONOUS, true},
	{"noatime", unix.MS_NOATIME, false}, {"atime", unix.MS_NOATIME, true},
	{"nodiratime", unix.MS_NODIRATIME, false}, {"diratime", unix.MS_NODIRATIME, true},
	{"relatime", unix.MS_RELATIME, false}, {"strictatime", unix.MS_STRICTATIME, false},
	{"lazytime", unix.MS_LAZYTIME, false}, {"defaults", 0, false},
}

// ParseOptions splits a comma-separated list as given to mount(8) -o into the
// flags of mount(2) and the options that only the file system understands.
func ParseOptions(list string) (flags uintptr, data string) {
	var rest []string
	for _, word := range strings.Split(list, ",") {
		o, ok := lookup(word)
		switch {
		case word == "":
		case !ok:
			rest = append(rest, word)
		case o.off:
			flags &^= o.flag
		default:
			flags |= o.flag
		}
	}
	return flags, strings.Join(rest, ",")
}

func lookup(name string) (option, bool) {
	for _, o := range options {
		if o.name == name {
			return o, true
		}
	}
	return option{}, false
}

func optionString(flags uintptr, data string) string {
	var words []string
	for _, o := range options {
		if o.flag != 0 && !o.off && flags&o.flag != 0 {
			words = append(words, o.name)
		}
	}
	if data != "" {
		words = append(words, data)
	}
	return strings.Join(words, ",")
}
