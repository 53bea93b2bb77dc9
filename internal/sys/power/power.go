//go:build linux

// Package power ends the machine's run: a sync that cannot hang, then
// reboot(2).
package power

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SyncDeadline bounds the wait for dirty data: a dead disk must not keep a
// machine from rebooting.
const SyncDeadline = 10 * time.Second

// Sync writes dirty data back and says whether that ended within the limit.
// On false the write-back goes on in the background; the caller is expected
// to end the machine.
func Sync(limit time.Duration) bool {
	done := make(chan struct{})
	go func() {
		unix.Sync()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// Reboot syncs and restarts the machine. It returns only on an error.
func Reboot() error { return end("rebooting", unix.LINUX_REBOOT_CMD_RESTART) }

func end(doing string, cmd int) error {
	Sync(SyncDeadline)
	return fmt.Errorf("%s: %w", doing, unix.Reboot(cmd))
}

// Crash makes the kernel panic, which is the last resort of a process that
// cannot reboot: the kernel then restarts the machine by itself (panic=).
func Crash() error {
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
		return fmt.Errorf("crashing the kernel: %w", err)
	}
	return nil
}
