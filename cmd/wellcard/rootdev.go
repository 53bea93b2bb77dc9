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
	if err := f.Parse(args); err != nil || f.NArg() > 1 {
		return errUsage
	}
	path := "/"
	if f.NArg() == 1 {
		path = f.Arg(0)
	}
	name, err := deviceOf("/sys", path)
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

// deviceOf is the kernel's name of the device below a path.
func deviceOf(sysfs, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("BUG: no number of the device")
	}
	link := filepath.Join(sysfs, "dev/block", fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	target, err := filepath.EvalSymlinks(link)
	if err != nil {
		return "", fmt.Errorf("finding the device of %s: it is on none", path)
	}
	return filepath.Base(target), nil
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
