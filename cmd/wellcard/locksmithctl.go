//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/godbus/dbus/v5"

	"wellcar.dev/internal/update"
	"wellcar.dev/internal/update/reboot"
)

const locksmithctlUsage = `Usage: locksmithctl [FLAG...] COMMAND

  help              this text
  status            show the lock
  lock [ID]         take it, for this machine or another
  unlock [ID]       give it back
  set-max N         let N machines reboot at once
  reboot            take it and reboot
  send-need-reboot  tell the coordinator that a reboot is due

Flags: -endpoint -etcd-cafile -etcd-certfile -etcd-keyfile -etcd-username -etcd-password -group -debug -version;
each is also a variable such as LOCKSMITHCTL_ENDPOINT.
`

// lockVersion is what -version prints: the version of the interface.
const lockVersion = "locksmithctl version 0.7.0"

func runLocksmithctl(ctx context.Context, args []string, out, errOut io.Writer) error {
	var o lockOptions
	f := flag.NewFlagSet("locksmithctl", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.Usage = func() { fmt.Fprint(errOut, locksmithctlUsage) }
	version := f.Bool("version", false, "print the version")
	if err := o.parse(f, "LOCKSMITHCTL_", args); err != nil {
		return err
	}
	if *version {
		fmt.Fprintln(out, lockVersion)
		return nil
	}
	c := lockCommand{o: o, out: out, args: f.Args()}
	verb := "help"
	if len(c.args) > 0 {
		verb = c.args[0]
	}
	switch verb {
	case "help":
		fmt.Fprint(out, locksmithctlUsage)
		return nil
	case "status":
		return c.status(ctx)
	case "lock", "unlock":
		return c.change(ctx, verb == "lock")
	case "set-max":
		return c.setMax(ctx)
	case "reboot":
		return c.reboot(ctx)
	case "send-need-reboot":
		return sendNeedReboot()
	}
	fmt.Fprint(errOut, locksmithctlUsage)
	return errUsage
}

type lockCommand struct {
	o    lockOptions
	out  io.Writer
	args []string
}

func (c lockCommand) status(ctx context.Context) error {
	e, err := c.o.etcd()
	if err != nil {
		return err
	}
	s, _, err := e.Get(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.out, s.Text())
	return err
}

func (c lockCommand) id() (string, error) {
	if len(c.args) > 1 {
		return c.args[1], nil
	}
	return machineID()
}

func (c lockCommand) change(ctx context.Context, lock bool) error {
	e, err := c.o.etcd()
	if err != nil {
		return err
	}
	id, err := c.id()
	if err != nil {
		return err
	}
	_, _, err = e.Change(ctx, func(s reboot.Semaphore) (reboot.Semaphore, error) {
		if lock {
			return s.Lock(id)
		}
		return s.Unlock(id)
	})
	return err
}

func (c lockCommand) setMax(ctx context.Context) error {
	if len(c.args) != 2 {
		return errors.New("set-max needs a number")
	}
	n, err := strconv.Atoi(c.args[1])
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no number of machines", c.args[1])
	}
	e, err := c.o.etcd()
	if err != nil {
		return err
	}
	before, after, err := e.Change(ctx, func(s reboot.Semaphore) (reboot.Semaphore, error) { return s.SetMax(n), nil })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "Old-Max: %d\nMax: %d\n", before.Max, after.Max)
	return err
}

func (c lockCommand) reboot(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can reboot the machine")
	}
	c.args = c.args[:1]
	if err := c.change(ctx, true); err != nil && !errors.Is(err, reboot.ErrHeld) {
		return err
	}
	return logindReboot(ctx)
}

// sendNeedReboot plays update-engine: the coordinator takes the signal as its.
func sendNeedReboot() error {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return fmt.Errorf("reaching the bus: %w", err)
	}
	defer conn.Close()
	return update.Signal(conn, update.Status{Operation: update.NeedReboot, NewVersion: update.NoVersion})
}
