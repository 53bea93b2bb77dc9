// Package vsock opens stream connections between a virtual machine and its
// host (vsock(7)).
package vsock

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Host is the address of the host.
const Host = unix.VMADDR_CID_HOST

// Dial connects to a port of an address. The host answers at once or not at
// all, so that the context counts only before.
func Dial(ctx context.Context, cid, port uint32) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a vsock socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: cid, Port: port}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connecting to vsock %d:%d: %w", cid, port, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("preparing the vsock socket: %w", err)
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("vsock %d:%d", cid, port)), nil
}
