//go:build linux

// Package uevent hears from the kernel about devices that come and go.
//
// Protocol: netlink family NETLINK_KOBJECT_UEVENT, group 1; a message is
// "ACTION@DEVPATH" and KEY=VALUE strings, each ended by a zero byte
// (lib/kobject_uevent.c). Messages from user space are ignored.
package uevent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Event is one message of the kernel.
type Event struct {
	Action  string // add, remove, change, move, online, offline, bind, unbind
	DevPath string // below /sys
	Env     map[string]string
}

// Lost is the action of the event that stands for messages which the kernel
// dropped because the receive buffer was full.
const Lost = "lost"

const (
	kernelGroup = 1
	bufferSize  = 4 << 20 // bytes; a coldplug of a large machine
	maxMessage  = 16 << 10
)

// Listener is an open socket. Messages queue in the kernel from Listen on.
// One goroutine at a time may wait.
type Listener struct{ f *os.File }

// Listen opens the socket.
func Listen() (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("opening the uevent socket: %w", err)
	}
	// Beyond the limit of the system where permitted, else as much as allowed.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferSize)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("binding the uevent socket: %w", err)
	}
	return &Listener{os.NewFile(uintptr(fd), "uevent")}, nil
}

// Close ends the listening.
func (l *Listener) Close() error { return l.f.Close() }

// Wait blocks until there is an event, and returns all that are queued. When
// ctx ends first, its error is returned.
func (l *Listener) Wait(ctx context.Context) ([]Event, error) {
	deadline, _ := ctx.Deadline()
	if err := l.f.SetReadDeadline(deadline); err != nil {
		return nil, fmt.Errorf("waiting for uevents: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = l.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := l.f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("waiting for uevents: %w", err)
	}
	var events []Event
	var failure error
	err = conn.Read(func(fd uintptr) bool {
		events, failure = drain(int(fd))
		return len(events) > 0 || failure != nil
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, context.DeadlineExceeded
	case err != nil:
		return nil, fmt.Errorf("waiting for uevents: %w", err)
	}
	return events, failure
}

// drain reads until the queue is empty.
func drain(fd int) ([]Event, error) {
	var events []Event
	buf := make([]byte, maxMessage)
	for {
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		switch err {
		case nil:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return events, nil
		case syscall.ENOBUFS:
			events = append(events, Event{Action: Lost})
			continue
		default:
			return events, fmt.Errorf("reading uevents: %w", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		if e, ok := Parse(buf[:n]); ok {
			events = append(events, e)
		}
	}
}

// Parse reads one message; false when it is not a kernel's uevent.
func Parse(message []byte) (Event, bool) {
	parts := strings.Split(strings.TrimRight(string(message), "\x00"), "\x00")
	action, devPath, ok := strings.Cut(parts[0], "@")
	if !ok || action == "" {
		return Event{}, false
	}
	e := Event{Action: action, DevPath: devPath, Env: make(map[string]string, len(parts)-1)}
	for _, p := range parts[1:] {
		if key, value, ok := strings.Cut(p, "="); ok {
			e.Env[key] = value
		}
	}
	return e, true
}
