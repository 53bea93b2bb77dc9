package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// environment of everything started here. There is no udev that makes nodes.
var environment = []string{"PATH=/usr/sbin:/usr/bin", "HOME=/root", "TERM=linux", "LC_ALL=C", "DM_DISABLE_UDEV=1", "MDADM_NO_UDEV=1"}

// endLimit is how long a program may take to end when it is asked to.
const endLimit = 3 * time.Second

// maxLine is where an overlong line of output is cut, in bytes.
const maxLine = 8 << 10

// run is initrd.Machine.Run. The lines go out while the program runs, which
// internal/sys/command does not do: an administrator at the console wants to
// see what a first boot is busy with.
func run(ctx context.Context, line func(string), name string, args ...string) (int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return -1, err
	}
	defer r.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = environment, "/"
	cmd.Stdout, cmd.Stderr = w, w
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, endLimit
	err = cmd.Start()
	w.Close()
	if err != nil {
		return -1, err
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) }) // a descendant may hold the pipe
	lines(r, line)
	stop()
	err = cmd.Wait()
	if ctx.Err() != nil {
		return -1, ctx.Err()
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return -1, err
	}
	return 0, nil
}

func lines(r io.Reader, line func(string)) {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		text, _, err := br.ReadLine()
		if err != nil {
			return
		}
		line(string(text))
	}
}

// shell is initrd.Machine.Shell.
func shell() error {
	console, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening the console: %w", err)
	}
	defer console.Close()
	cmd := exec.Command("/usr/bin/bash", "--login")
	cmd.Env, cmd.Dir = environment, "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = console, console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = cmd.Wait() // whatever the last command's status
	return nil
}
