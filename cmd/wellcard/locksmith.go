//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"wellcar.dev/internal/sys/filelock"
	"wellcar.dev/internal/update"
	"wellcar.dev/internal/update/reboot"
)

// lockOptions are the flags that locksmithd and locksmithctl share; each is
// also a variable of the environment, with the program's prefix.
type lockOptions struct {
	endpoints                  list
	ca, cert, key, user, group string
	password, fleet            string
	kube                       kubeOptions
	debug                      bool
}

// list is a flag that can be repeated and hold commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds to the list.
func (l *list) Set(v string) error {
	*l = append(*l, strings.Split(v, ",")...)
	return nil
}

// parse adds the flags and takes the environment for those not given.
func (o *lockOptions) parse(f *flag.FlagSet, prefix string, args []string) error {
	f.Var(&o.endpoints, "endpoint", "etcd address (repeatable)")
	f.StringVar(&o.ca, "etcd-cafile", "", "certificate `file` of the authority of etcd")
	f.StringVar(&o.cert, "etcd-certfile", "", "certificate `file` to show etcd")
	f.StringVar(&o.key, "etcd-keyfile", "", "key `file` of that certificate")
	f.StringVar(&o.user, "etcd-username", "", "user of etcd")
	f.StringVar(&o.password, "etcd-password", "", "password of that user")
	f.StringVar(&o.group, "group", "", "group of machines that share a lock")
	f.StringVar(&o.fleet, "fleetlock-url", "", "address of a FleetLock server")
	o.kube.flags(f)
	f.BoolVar(&o.debug, "debug", false, "say more")
	if err := f.Parse(args); err != nil {
		return errUsage
	}
	given := map[string]bool{}
	f.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	var err error
	f.VisitAll(func(fl *flag.Flag) {
		name := strings.ToUpper(strings.ReplaceAll(fl.Name, "-", "_"))
		if v := os.Getenv(prefix + name); v != "" && !given[fl.Name] {
			err = errors.Join(err, fl.Value.Set(v))
		}
	})
	return err
}

func (o *lockOptions) etcd() (*reboot.Etcd, error) {
	e, err := reboot.NewEtcd(o.endpoints, o.ca, o.cert, o.key)
	if err != nil {
		return nil, err
	}
	e.User, e.Password, e.Key = o.user, o.password, reboot.Key(o.group)
	return e, nil
}

func machineID() (string, error) {
	data, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return "", fmt.Errorf("reading the machine's id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// lock is who has a say in a strategy; nil is nobody.
func (o *lockOptions) lock(s reboot.Strategy) (reboot.Lock, error) {
	id, err := machineID()
	if err != nil {
		return nil, err
	}
	switch s {
	case reboot.EtcdLock:
		e, err := o.etcd()
		if err != nil {
			return nil, err
		}
		return reboot.EtcdSemaphore{Etcd: e, ID: id}, nil
	case reboot.Fleet:
		if o.fleet == "" {
			return nil, errors.New("the strategy fleetlock needs LOCKSMITHD_FLEETLOCK_URL")
		}
		return reboot.FleetLock{URL: o.fleet, ID: id, Group: o.group, Client: &http.Client{Timeout: 15 * time.Second}}, nil
	}
	if s == reboot.Kube {
		return o.kube.lock()
	}
	return nil, nil
}

// coordinatorFile says who coordinates reboots; whoever holds its lock does.
const coordinatorFile = "/run/update-engine/coordinator.conf"

// coordinator keeps that file.
type coordinator struct {
	f        *os.File
	strategy reboot.Strategy
}

func openCoordinator(s reboot.Strategy) (*coordinator, error) {
	if err := os.MkdirAll(filepath.Dir(coordinatorFile), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(coordinatorFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := filelock.Try(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("another program coordinates reboots: %w", err)
	}
	return &coordinator{f, s}, nil
}

func (c *coordinator) state(s string) error {
	text := fmt.Sprintf("NAME=locksmithd\nSTRATEGY=%s\nSTATE=%s\n", c.strategy, s)
	if err := c.f.Truncate(0); err != nil {
		return err
	}
	_, err := c.f.WriteAt([]byte(text), 0)
	return err
}

func runLocksmithd(ctx context.Context, args []string, _, errOut io.Writer) error {
	var o lockOptions
	f := flag.NewFlagSet("locksmithd", flag.ContinueOnError)
	f.SetOutput(errOut)
	if err := o.parse(f, "LOCKSMITHD_", args); err != nil {
		return err
	}
	logf := func(format string, args ...any) { fmt.Fprintf(errOut, format+"\n", args...) }
	strategy, err := reboot.ParseStrategy(os.Getenv("REBOOT_STRATEGY"))
	if err != nil {
		return err
	}
	windows, err := reboot.ParseWindows(either("REBOOT_WINDOW_START"), either("REBOOT_WINDOW_LENGTH"))
	if err != nil {
		return err
	}
	file, err := openCoordinator(strategy)
	if err != nil {
		return err
	}
	defer file.f.Close()
	if strategy == reboot.Off {
		logf("Reboot strategy is %q - shutting down.", reboot.Off)
		return file.state(reboot.StateDisabled)
	}
	lock, err := o.lock(strategy)
	if err != nil {
		return err
	}
	return coordinate(ctx, file, lock, windows, logf)
}

func coordinate(ctx context.Context, file *coordinator, lock reboot.Lock, windows []reboot.Window, logf func(string, ...any)) error {
	if err := file.state(reboot.StateStarting); err != nil {
		return err
	}
	r, err := update.Connect(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	c := reboot.Coordinator{Windows: windows, Lock: lock, Now: time.Now, After: time.After, Logf: logf, Warn: warnUsers, Reboot: logindReboot,
		NeedReboot: func(ctx context.Context) error { return awaitNeed(ctx, r, lock, logf) },
		State: func(s string) {
			if err := file.state(s); err != nil {
				logf("%v", err)
			}
		}}
	logf("locksmithd starting currentOperation=%q strategy=%q", status(ctx, r), file.strategy)
	err = c.Run(ctx)
	if ctx.Err() != nil {
		return nil // stopped
	}
	if err == nil {
		<-ctx.Done() // the reboot is under way
	}
	return err
}

// awaitNeed follows the update client, tells whoever wants to know, and returns
// when a reboot is due.
func awaitNeed(ctx context.Context, r *update.Remotely, lock reboot.Lock, logf func(string, ...any)) error {
	var told update.Status
	return r.Watch(ctx, func(s update.Status) bool {
		if l, ok := lock.(reboot.Listener); ok && s.News(told) {
			told = s
			if err := l.Report(ctx, string(s.Operation), s.NewVersion, s.LastChecked); err != nil {
				logf("telling the cluster what update-engine is at: %v", err)
			}
		}
		return s.Operation == update.NeedReboot
	})
}

func status(ctx context.Context, r *update.Remotely) update.Operation {
	s, err := r.Status(ctx)
	if err != nil {
		return ""
	}
	return s.Operation
}

// either is a variable with locksmithd's prefix or without.
func either(name string) string {
	if v := os.Getenv("LOCKSMITHD_" + name); v != "" {
		return v
	}
	return os.Getenv(name)
}

// session is what logind says of one; see org.freedesktop.login1(5).
type session struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// warnUsers writes to the terminals of all who are logged in, and says
// whether there was one.
func warnUsers(text string) bool {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return false
	}
	defer conn.Close()
	var sessions []session
	if err := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").Call("org.freedesktop.login1.Manager.ListSessions", 0).Store(&sessions); err != nil {
		return false
	}
	reached := false
	for _, s := range sessions {
		tty, err := conn.Object("org.freedesktop.login1", s.Path).GetProperty("org.freedesktop.login1.Session.TTY")
		name, _ := tty.Value().(string)
		if err != nil || name == "" || strings.Contains(name, "..") {
			continue
		}
		f, err := os.OpenFile("/dev/"+strings.TrimPrefix(name, "/dev/"), os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		_, err = fmt.Fprintf(f, "\a\r\nBroadcast message from locksmithd at %s:\r\n%s\r\n", time.Now().Format(time.DateTime), text)
		reached = reached || err == nil
		f.Close()
	}
	return reached
}

func logindReboot(ctx context.Context) error {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return fmt.Errorf("rebooting: %w", err)
	}
	defer conn.Close()
	if err := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").CallWithContext(ctx, "org.freedesktop.login1.Manager.Reboot", 0, false).Err; err != nil {
		return fmt.Errorf("rebooting: %w", err)
	}
	return nil
}
