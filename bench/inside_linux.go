package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// insideWord as the first argument makes this program enter the workshop and
// become another program there: inside ROOT WORK COMMAND...
const insideWord = "inside"

// insideAttr gives a process mounts and process numbers of its own: when it
// is killed, all that it started ends too.
func insideAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
}

// runInside is the second half: it already has its own mounts. It makes the
// kernel's file systems and the work folder visible in root, makes root the
// root directory and executes the command. It returns only if that fails.
func runInside(root, work string, command []string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts of this process private: %w", err)
	}
	binds := map[string]string{"/sys": "/sys", "/dev": "/dev", work: workFolder, "/etc/resolv.conf": "/etc/resolv.conf"}
	for from, to := range binds {
		if err := syscall.Mount(from, filepath.Join(root, to), "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("showing %s as %s in %s: %w", from, to, root, err)
		}
	}
	if err := syscall.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting proc in %s: %w", root, err)
	}
	// What is mounted at / cannot be pivoted away by mkosi's own sandbox in a
	// plain chroot, so the workshop becomes the real root of this process.
	if err := enterRoot(root); err != nil {
		return fmt.Errorf("making %s the root directory: %w", root, err)
	}
	env := []string{"PATH=/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if err := os.Setenv("PATH", "/usr/sbin:/usr/bin"); err != nil {
		return err
	}
	program, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("executing %s: %w", program, syscall.Exec(program, command, env))
}

func enterRoot(root string) error {
	if err := syscall.Mount(root, root, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return err
	}
	return os.Chdir(workFolder)
}

// mayEnter tells whether this process may enter a workshop.
func mayEnter() error {
	if os.Geteuid() != 0 {
		return errors.New("mkosi's build of a Debian image needs root here (run the benchmarks with sudo)")
	}
	return nil
}
