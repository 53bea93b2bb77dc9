package qemu

import "syscall"

// ownGroup keeps the terminal's Ctrl-C away from a child, and ends the child
// with the caller even if that is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
