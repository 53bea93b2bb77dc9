//go:build linux

package initrd

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/console"
	"wellcar.dev/internal/sys/dm"
	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
	"wellcar.dev/internal/sys/uevent"
)

// Machine is everything the boot does outside of its own memory. All
// functions must be set. They are called one at a time, but for Log and Quote,
// for Run while the network is up, and for a step that is stuck in one of them
// when its limit has passed.
type Machine struct {
	// Root is put before each path of a file that the boot reads or writes by
	// itself; "/" except in tests. Paths given to the functions below come
	// without it.
	Root string

	Log   func(level kmsg.Level, format string, args ...any)
	Quote func(tag, line string) // logs what another program said, under its name
	// Show draws a page on every console; page makes it for the size of one.
	Show func(ctx context.Context, page func(console.Size) []string) error
	Now  func() time.Duration // since the kernel's start
	GUID func() gpt.GUID      // random

	Mount   func(mount.Mount) error
	Unmount func(target string) error

	LoadModule func(name, params string) error
	Modaliases func(buses []string) []string // of the devices there are
	Events     func(context.Context) ([]uevent.Event, error)

	Devices         func() ([]blockdev.Device, error)
	OpenDevice      func(path string) (Device, error)
	OpenForWrite    func(path string) (Device, error) // each write is durable when it returns
	ReadPartitions  func(disk string) error
	ResizePartition func(disk string, number int, start, length int64) error
	GrowExt4        func(mountPoint string, size int64) error
	CreateVerity    func(name, uuid string, t dm.Target) (path string, err error)

	// Run runs a command and hands over the lines that it prints. The exit
	// status is -1 with an error if it did not run to its end. When the context
	// ends the program is asked to end, and killed if it does not.
	Run   func(ctx context.Context, line func(string), name string, args ...string) (status int, err error)
	Shell func() error // an interactive one on the console

	// HandOver makes newRoot the root and becomes the system's init. It
	// returns only on an error.
	HandOver func(newRoot string) error
	// Reboot restarts the machine. It does not return.
	Reboot func()
	// Wait returns after a time; only the failure path uses it.
	Wait func(time.Duration)
}

// Device is an open block device.
type Device interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
}

// path is where the boot finds a path of the machine.
func (m Machine) path(p string) string { return filepath.Join(m.Root, p) }
