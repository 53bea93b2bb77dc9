//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// runRootdev prints the device that a file system is on.
func runRootdev(_ context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("rootdev", flag.ContinueOnError)
	f.SetOutput(errOut)
	disk := f.Bool("d", false, "the disk, not the partition")
	below := f.Bool("s", false, "the device below a mapping such as that of dm-verity")
	f.Bool("c", false, "accepted and ignored: the node exists")
	ignore := f.Bool("i", false, "end with success even if there is no device")
	if err := f.Parse(parted(args)); err != nil || f.NArg() > 1 {
		return errUsage
	}
	path := "/"
	if f.NArg() == 1 {
		path = f.Arg(0)
	}
	name, err := deviceOf("/sys", "/proc/self/mountinfo", path)
	if err != nil {
		if *ignore {
			return nil
		}
		return err
	}
	if *below {
		name = lowest("/sys", name)
	}
	if *disk {
		name = diskOf("/sys", name)
	}
	_, err = fmt.Fprintln(out, "/dev/"+name)
	return err
}

// parted parts flags that are joined: -sd is -s -d.
func parted(args []string) (out []string) {
	for _, a := range args {
		if len(a) < 3 || a[0] != '-' || strings.Trim(a[1:], "cdis") != "" {
			out = append(out, a)
			continue
		}
		for _, letter := range a[1:] {
			out = append(out, "-"+string(letter))
		}
	}
	return out
}

// deviceOf is the kernel's name of the device below a path.
func deviceOf(sysfs, mountinfo, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("BUG: no number of the device")
	}
	link := filepath.Join(sysfs, "dev/block", fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if target, err := filepath.EvalSymlinks(link); err == nil {
		return filepath.Base(target), nil
	}
	source, err := mountSource(mountinfo, path)
	if err != nil {
		return "", fmt.Errorf("finding the device of %s: %w", path, err)
	}
	return filepath.Base(source), nil
}

var errNoDevice = errors.New("it is on none")

// mountSource is the device that a path's file system was mounted from, for
// those whose files have a number that no device has, such as btrfs.
func mountSource(mountinfo, path string) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st); err != nil {
		return "", err
	}
	text, err := os.ReadFile(mountinfo)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		mount, about, _ := strings.Cut(line, " - ") // see proc_pid_mountinfo(5)
		id, _, _ := strings.Cut(mount, " ")
		words := strings.Fields(about) // type, source, options
		if id != strconv.FormatUint(st.Mnt_id, 10) || len(words) < 2 || !filepath.IsAbs(words[1]) {
			continue
		}
		return filepath.EvalSymlinks(words[1])
	}
	return "", errNoDevice
}

// lowest follows mappings down to what is none.
func lowest(sysfs, name string) string {
	for {
		entries, err := os.ReadDir(filepath.Join(sysfs, "class/block", name, "slaves"))
		if err != nil || len(entries) == 0 {
			return name
		}
		name = entries[0].Name()
	}
}

func diskOf(sysfs, name string) string {
	dir, err := filepath.EvalSymlinks(filepath.Join(sysfs, "class/block", name))
	if err != nil {
		return name
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err != nil {
		return name
	}
	return filepath.Base(filepath.Dir(dir))
}
