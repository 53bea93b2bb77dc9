//go:build linux

// Package dm makes device-mapper devices with the kernel's ioctls. What a
// target's parameters mean is the business of the format packages.
//
// Source: linux/dm-ioctl.h (interface 4.x). There is no udev
// handshake (cookies): the package is for an environment without udev, and
// says so to the udev that starts later (Device.UdevRecord).
package dm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Control is the node that the ioctls go to.
const Control = "/dev/mapper/control"

// Target is one line of a device's table.
type Target struct {
	Type   string // verity, linear, ...
	Size   int64  // bytes
	Params string
}

// Device is an active device.
type Device struct {
	Name         string
	Major, Minor uint32
}

// Path is the node that the kernel makes.
func (d Device) Path() string { return fmt.Sprintf("/dev/dm-%d", d.Minor) }

// UdevRecord is the name below /run/udev/data and the content of the record
// that udev would have kept. Without it, the udev rules of device-mapper take
// a device made before udev ran for one that is not set up yet, and the
// service manager then believes it absent.
func (d Device) UdevRecord() (name, content string) {
	return fmt.Sprintf("b%d:%d", d.Major, d.Minor),
		"S:mapper/" + d.Name + "\nE:DM_UDEV_PRIMARY_SOURCE_FLAG=1\nE:DM_UDEV_RULES_VSN=3\nV:1\n"
}

// header is struct dm_ioctl.
type header struct {
	version     [3]uint32
	dataSize    uint32
	dataStart   uint32
	targetCount uint32
	openCount   int32
	flags       uint32
	eventNr     uint32
	_           uint32
	dev         uint64
	name        [128]byte
	uuid        [129]byte
	_           [7]byte
}

// spec is struct dm_target_spec; the parameters follow it.
type spec struct {
	sectorStart uint64
	length      uint64
	status      int32
	next        uint32
	targetType  [16]byte
}

const (
	headerSize = 312
	specSize   = 40
	sectorSize = 512

	cmdCreate  = 3
	cmdRemove  = 4
	cmdSuspend = 6 // and resume: without flagSuspend
	cmdLoad    = 9

	flagReadOnly = 1 << 0
	flagDeferred = 1 << 17 // of a removal: once nobody has the device open
)

// request is the number of an ioctl: _IOWR(0xfd, cmd, struct dm_ioctl).
func request(cmd uintptr) uintptr { return 3<<30 | headerSize<<16 | 0xfd<<8 | cmd }

// CreateReadOnly makes a read-only device with a one-line table and activates
// it. On an error nothing stays behind.
func CreateReadOnly(name, uuid string, target Target) (Device, error) {
	f, err := os.OpenFile(Control, os.O_RDWR, 0)
	if err != nil {
		return Device{}, fmt.Errorf("opening device-mapper: %w", err)
	}
	defer f.Close()
	dev, err := call(f, cmdCreate, name, message{uuid: uuid})
	if err != nil {
		return Device{}, fmt.Errorf("creating device %s: %w", name, err)
	}
	steps := []struct {
		doing string
		cmd   uintptr
		msg   message
	}{
		{"loading the table of device", cmdLoad, message{flags: flagReadOnly, target: &target}},
		{"activating device", cmdSuspend, message{}},
	}
	for _, s := range steps {
		if _, err := call(f, s.cmd, name, s.msg); err != nil {
			_, removal := call(f, cmdRemove, name, message{})
			return Device{}, errors.Join(fmt.Errorf("%s %s: %w", s.doing, name, err), removal)
		}
	}
	return Device{Name: name, Major: unix.Major(dev), Minor: unix.Minor(dev)}, nil
}

// Remove takes a device away, at the latest when its last user, who may be
// udev, closes it.
func Remove(name string) error {
	f, err := os.OpenFile(Control, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening device-mapper: %w", err)
	}
	defer f.Close()
	if _, err := call(f, cmdRemove, name, message{flags: flagDeferred}); err != nil {
		return fmt.Errorf("removing device %s: %w", name, err)
	}
	return nil
}

// message is what varies between calls.
type message struct {
	uuid   string
	flags  uint32
	target *Target
}

// call sends one ioctl and returns the device number that the kernel filled in.
func call(f *os.File, cmd uintptr, name string, m message) (dev uint64, err error) {
	buf, err := m.encode(name)
	if err != nil {
		return 0, err
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request(cmd), uintptr(unsafe.Pointer(&buf[0]))); errno != 0 {
		return 0, errno
	}
	return binary.NativeEndian.Uint64(buf[unsafe.Offsetof(header{}.dev):]), nil
}

func (m message) encode(name string) ([]byte, error) {
	h := header{version: [3]uint32{4, 0, 0}, dataStart: headerSize, flags: m.flags}
	if len(name) >= len(h.name) || len(m.uuid) >= len(h.uuid) || strings.Contains(name, "/") {
		return nil, fmt.Errorf("name %q or uuid %q does not fit device-mapper", name, m.uuid)
	}
	copy(h.name[:], name)
	copy(h.uuid[:], m.uuid)
	var table []byte
	if m.target != nil {
		h.targetCount = 1
		table = m.target.encode()
	}
	h.dataSize = uint32(headerSize + len(table))
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, h); err != nil {
		return nil, err
	}
	return append(b.Bytes(), table...), nil
}

func (t Target) encode() []byte {
	params := append([]byte(t.Params), 0)
	for len(params)%8 != 0 {
		params = append(params, 0)
	}
	s := spec{length: uint64(t.Size / sectorSize), next: uint32(specSize + len(params))}
	copy(s.targetType[:], t.Type)
	var b bytes.Buffer
	_ = binary.Write(&b, binary.NativeEndian, s) // a buffer takes all
	return append(b.Bytes(), params...)
}
