//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/update"
)

// runUpdateEngine is the daemon that keeps the system up to date.
func runUpdateEngine(ctx context.Context, args []string, _, errOut io.Writer) error {
	f := flag.NewFlagSet("update-engine", flag.ContinueOnError)
	f.SetOutput(errOut)
	if err := parse(f, args); err != nil {
		return err
	}
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("reaching the system bus: %w", err)
	}
	defer conn.Close()
	s := update.NewService(machineName())
	s.Logf = func(format string, args ...any) { fmt.Fprintf(errOut, format+"\n", args...) }
	s.Notify = func(st update.Status) {
		if err := update.Signal(conn, st); err != nil {
			s.Logf("telling the bus: %v", err)
		}
	}
	s.Prove = func(ctx context.Context) error { return proveSystem(ctx, s.Logf) }
	s.Reboot = func(force bool) error { return rebootNow(context.WithoutCancel(ctx), command.Exec, force) }
	s.Announce = func(sentence string) {
		if err := announce(ctx, sentence); err != nil {
			s.Logf("%v", err)
		}
	}
	s.Start()
	if err := update.Export(conn, s); err != nil {
		return err
	}
	return s.Run(ctx)
}

// rebootLimit is how long systemd may take to answer.
const rebootLimit = time.Minute

// rebootNow asks systemd for a reboot. By force, services are killed, and if
// systemd does not answer the kernel is asked.
func rebootNow(ctx context.Context, run command.Runner, force bool) error {
	lines := [][]string{{"reboot"}}
	if force {
		lines = [][]string{{"reboot", "--force"}, {"reboot", "--force", "--force"}}
	}
	var errs []error
	for _, args := range lines {
		ctx, stop := context.WithTimeout(ctx, rebootLimit)
		_, err := run(ctx, command.Cmd{Path: "systemctl", Args: args})
		stop()
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// machineName is as uname -m prints it.
func machineName() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Machine[:])
}

// runUpdateEngineClient asks and commands the daemon.
func runUpdateEngineClient(ctx context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("update_engine_client", flag.ContinueOnError)
	f.SetOutput(errOut)
	status := f.Bool("status", false, "print the status")
	check := f.Bool("check_for_update", false, "start a check and return")
	now := f.Bool("update", false, "start an update and wait for its end")
	reset := f.Bool("reset_status", false, "take back an update that waits for a reboot")
	watch := f.Bool("watch_for_updates", false, "print each change of the status")
	if err := parse(f, underscored(args)); err != nil {
		return err
	}
	r, err := update.Connect(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	c := engineClient{r, out, errOut}
	switch {
	case *status:
		return c.status(ctx)
	case *reset:
		c.note("Setting Update Engine status to idle ...")
		return r.Reset(ctx)
	case *check:
		c.note("Initiating update check and install.")
		return r.Attempt(ctx)
	case *now:
		return c.update(ctx)
	case *watch:
		c.note("Watching for status updates.")
		return r.Watch(ctx, func(s update.Status) bool { fmt.Fprint(out, s.Text()); return false })
	}
	fmt.Fprintln(errOut, "update_engine_client: no command; try -status, -check_for_update, -update, -reset_status or -watch_for_updates")
	return errUsage
}

// underscored accepts dashes within the names of flags.
func underscored(args []string) []string {
	var out []string
	for _, a := range args {
		name := strings.TrimLeft(a, "-")
		dashes := a[:len(a)-len(name)]
		if dashes != "" {
			a = dashes + strings.ReplaceAll(name, "-", "_")
		}
		out = append(out, a)
	}
	return out
}

// loginText is a part of the text at login.
const loginText = "/run/flatcar/motd.d/update"

// announce puts a sentence into the text at login.
func announce(ctx context.Context, sentence string) error {
	if err := os.MkdirAll(filepath.Dir(loginText), 0o755); err != nil {
		return err
	}
	if sentence == "" {
		if err := os.Remove(loginText); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	} else if err := os.WriteFile(loginText, []byte(sentence+"\n"), 0o644); err != nil {
		return err
	}
	_, err := command.Exec(ctx, command.Cmd{Path: "/usr/lib/flatcar/issuegen"})
	return err
}
