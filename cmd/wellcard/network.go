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

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/format/netconf"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/network"
	"wellcar.dev/internal/sys/command"
)

// leaseDir is where systemd-networkd keeps what DHCP servers say.
const leaseDir = "/run/systemd/netif/leases"

// networking is one run of the applet.
type networking struct {
	cmdline, state, resolv string
	limit                  time.Duration
	stay                   bool
	out                    io.Writer
}

func runNetwork(ctx context.Context, args []string, out, errOut io.Writer) error {
	n := &networking{out: out}
	f := flag.NewFlagSet("network", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.Usage = func() {
		fmt.Fprint(f.Output(), "Usage: wellcard network up|down [FLAG...]\n\nBrings the network up before the system starts, or takes it down again.\n\n")
		f.PrintDefaults()
	}
	f.StringVar(&n.cmdline, "cmdline", "/proc/cmdline", "`file` with the kernel command line, whose ip= and other words are heeded")
	f.StringVar(&n.state, "state", network.StateFile, "`file` that keeps what down needs")
	f.StringVar(&n.resolv, "resolv-conf", "/etc/resolv.conf", "`file` for the servers of names")
	f.DurationVar(&n.limit, "limit", network.Limit, "`time` until the network must be usable")
	f.BoolVar(&n.stay, "stay", false, "with up: say "+layout.NetworkUp+" and stay until SIGTERM, for interfaces that are answered later")
	if len(args) == 0 {
		f.Usage()
		return errUsage
	}
	if strings.HasPrefix(args[0], "-") {
		return errors.Join(parse(f, args), errUsage)
	}
	if err := parse(f, args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "up":
		return n.up(ctx)
	case "down":
		if n.stay {
			fmt.Fprintln(errOut, "network: --stay is for up")
			return errUsage
		}
		return n.down()
	}
	fmt.Fprintf(errOut, "network: %q is neither up nor down\n", args[0])
	return errUsage
}

func (n *networking) up(ctx context.Context) error {
	text, err := os.ReadFile(n.cmdline)
	if err != nil {
		return fmt.Errorf("reading the kernel command line: %w", err)
	}
	config, err := netconf.Parse(cmdline.Parse(string(text)))
	if err != nil {
		n.say("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	net, err := network.Up(ctx, network.Options{
		Config: config, Limit: n.limit, Run: command.Exec, Modules: "/usr",
		Resolv: n.resolv, Leases: leaseDir, Logf: n.say, Changed: n.save,
	})
	if err == nil && n.stay {
		n.save(net.State())
		fmt.Fprintln(n.out, layout.NetworkUp)
		<-ctx.Done()
	}
	net.Stop()
	return errors.Join(oneLine(err), net.State().Save(n.state))
}

// save keeps what was changed, in case that nothing is asked about it later.
func (n *networking) save(s network.State) {
	if err := s.Save(n.state); err != nil {
		n.say("%v", err)
	}
}

// oneLine joins the errors of several interfaces to one sentence.
func oneLine(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\n") {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

func (n *networking) down() error {
	state, err := network.LoadState(n.state)
	if err != nil {
		return err
	}
	err = network.Down(state, func(name string) error {
		err := os.Remove(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	for _, dir := range []string{leaseDir, filepath.Dir(leaseDir)} {
		os.Remove(dir) // if it is empty, as it was not there before
	}
	return errors.Join(oneLine(err), os.Remove(n.state))
}

func (n *networking) say(format string, args ...any) {
	fmt.Fprintf(n.out, "network: "+format+"\n", args...)
}
