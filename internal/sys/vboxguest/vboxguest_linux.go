// Package vboxguest reads and deletes the guest properties of a VirtualBox
// machine through /dev/vboxguest (linux/vboxguest.h, linux/vbox_vmmdev_types.h).
//
// Only the layout of its requests can be tested without VirtualBox.
package vboxguest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Device is the guest driver.
const Device = "/dev/vboxguest"

// Requests of the driver: _IOWR('V', number, size).
const (
	reqVersion    = 0
	reqConnect    = 4
	reqDisconnect = 5
	reqCall64     = 7
)

// Functions of the service VBoxGuestPropSvc.
const (
	fnGet    = 1
	fnDelete = 4
)

// Results (linux/vbox_err.h).
const (
	success     = 0
	errOverflow = -41
	errNotFound = -78
)

const (
	headSize      = 24 // struct vbg_ioctl_hdr
	headVersion   = 0x10001
	service       = "VBoxGuestPropSvc"
	parameterSize = 16 // struct vmmdev_hgcm_function_parameter64, packed
	callSize      = headSize + 16
)

// Kinds of parameters.
const (
	param32 = 1
	param64 = 2
	paramBi = 4 // an address, both ways
	paramIn = 5 // an address, to the host
)

// request fills in the header; sizes count it.
func request(in, out int) []byte {
	b := make([]byte, headSize+max(in, out))
	le := binary.LittleEndian
	le.PutUint32(b, uint32(headSize+in))
	le.PutUint32(b[4:], headVersion)
	le.PutUint32(b[12:], 0) // rc
	le.PutUint32(b[16:], uint32(headSize+out))
	return b
}

func number(request, size int) uintptr {
	const readWrite = 3
	return uintptr(readWrite<<30 | size<<16 | 'V'<<8 | request)
}

// do passes a request to the driver and returns its own result.
func do(f *os.File, kind int, b []byte) (int32, error) {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), number(kind, len(b)), uintptr(unsafe.Pointer(&b[0])))
	if errno != 0 {
		return 0, errno
	}
	return int32(binary.LittleEndian.Uint32(b[12:])), nil
}

// connection is an open service.
type connection struct {
	f      *os.File
	client uint32
}

func connect() (*connection, error) {
	f, err := os.OpenFile(Device, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c := &connection{f: f}
	if err := c.open(); err != nil {
		f.Close()
		return nil, err
	}
	return c, nil
}

func (c *connection) open() error {
	b := request(16, 20)
	binary.LittleEndian.PutUint32(b[headSize:], 0x10000)
	binary.LittleEndian.PutUint32(b[headSize+4:], 0x10000)
	if err := checked(do(c.f, reqVersion, b)); err != nil {
		return fmt.Errorf("agreeing on a version: %w", err)
	}
	b = request(132, 4)
	binary.LittleEndian.PutUint32(b[headSize:], 2) // an existing service of this host
	copy(b[headSize+4:], service)
	if err := checked(do(c.f, reqConnect, b)); err != nil {
		return fmt.Errorf("connecting to %s: %w", service, err)
	}
	c.client = binary.LittleEndian.Uint32(b[headSize:])
	return nil
}

func (c *connection) close() error {
	b := request(4, 0)
	binary.LittleEndian.PutUint32(b[headSize:], c.client)
	err := checked(do(c.f, reqDisconnect, b))
	return errors.Join(err, c.f.Close())
}

func checked(rc int32, err error) error {
	if err == nil && rc != success {
		err = fmt.Errorf("VirtualBox error %d", rc)
	}
	return err
}

// parameter is one of a call; data is kept until the call is over.
type parameter struct {
	kind uint32
	data []byte
}

// call builds a request. Addresses of data must stay valid, so the caller
// pins it.
func (c *connection) call(function uint32, params []parameter) []byte {
	size := callSize - headSize + len(params)*parameterSize
	b := request(size, size)
	le := binary.LittleEndian
	le.PutUint32(b[headSize:], c.client)
	le.PutUint32(b[headSize+4:], function)
	le.PutUint32(b[headSize+8:], 0xffffffff) // no limit
	b[headSize+12] = 1                       // may be interrupted
	le.PutUint16(b[headSize+14:], uint16(len(params)))
	for i, p := range params {
		at := b[callSize+i*parameterSize:]
		le.PutUint32(at, p.kind)
		if len(p.data) > 0 {
			le.PutUint32(at[4:], uint32(len(p.data)))
			le.PutUint64(at[8:], uint64(uintptr(unsafe.Pointer(&p.data[0]))))
		}
	}
	return b
}

// Property reads a guest property; nil is one that does not exist.
func Property(name string) (value []byte, err error) {
	c, err := connect()
	if err != nil {
		return nil, fmt.Errorf("reading the guest property %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if value, err = c.get(name); err != nil {
		return nil, fmt.Errorf("reading the guest property %s: %w", name, err)
	}
	return value, nil
}

// get asks for the size first, then for the value.
func (c *connection) get(name string) ([]byte, error) {
	value := make([]byte, 1)
	for range 2 {
		key := append([]byte(name), 0)
		var pinned runtime.Pinner
		pinned.Pin(&key[0])
		pinned.Pin(&value[0])
		b := c.call(fnGet, []parameter{{paramIn, key}, {paramBi, value}, {param64, nil}, {param32, nil}})
		rc, err := do(c.f, reqCall64, b)
		pinned.Unpin()
		size := binary.LittleEndian.Uint32(b[callSize+3*parameterSize+4:])
		switch {
		case err != nil:
			return nil, err
		case rc == errNotFound:
			return nil, nil
		case rc == success && len(value) > 1:
			return propertyValue(value)
		case rc != success && rc != errOverflow:
			return nil, fmt.Errorf("VirtualBox error %d", rc)
		}
		value = make([]byte, min(max(size, 2), 1<<20))
	}
	return nil, errors.New("it grew while it was read")
}

// propertyValue cuts the flags off: VALUE NUL FLAGS NUL.
func propertyValue(b []byte) ([]byte, error) {
	value, _, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return nil, errors.New("it has no end")
	}
	return value, nil
}

// Delete deletes a guest property.
func Delete(name string) (err error) {
	c, err := connect()
	if err != nil {
		return fmt.Errorf("deleting the guest property %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	key := append([]byte(name), 0)
	var pinned runtime.Pinner
	pinned.Pin(&key[0])
	defer pinned.Unpin()
	if err := checked(do(c.f, reqCall64, c.call(fnDelete, []parameter{{paramIn, key}}))); err != nil {
		return fmt.Errorf("deleting the guest property %s: %w", name, err)
	}
	return nil
}
