// Package filelock marks files and directories as in use by one process, so
// that others leave them alone (flock(2), on Linux, macOS and the BSDs).
//
// A lock is advice: it keeps out only those who ask for it. It belongs to the
// open file and ends when that is closed, also by the death of the process;
// a file opened twice is two holders, even within one process.
package filelock

import (
	"fmt"
	"os"
	"syscall"
)

// Try takes the only lock of an open file or directory, without waiting. An
// error means that another holds it or that the file system has no locks.
func Try(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case nil:
			return nil
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return fmt.Errorf("locking %s: another process holds it: %w", f.Name(), err)
		default:
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// Lock takes the only lock of an open file, and waits for it.
func Lock(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err {
		case nil:
			return nil
		case syscall.EINTR:
		default:
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}
