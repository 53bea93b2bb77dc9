package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wellcar.dev/internal/page"
	"wellcar.dev/internal/qemu"
)

const runLong = `Boots the image in a virtual machine, provisions it from CONFIG (what "wellcar
config" takes: Butane, Ignition, a Container Linux Config, a cloud-config) and
prints how to reach it. Changes to the disk are dropped at the
end unless --snapshot=false. Without CONFIG the machine has a fresh SSH key and
logs in on its console by itself.

A line "# wellcar run: FLAGS" in CONFIG gives flags that the command line does
not: --port, --wait-http, --memory, --cpus, --disk, --cloud, --tpm,
--firmware, --segment.

Machines with the same --segment PORT are on one network, each with a further
card. It needs no root and does not leave the host; nothing on it gives out
addresses.

With --update-from the machine starts with an older build, updates itself to the
image, restarts and proves itself. Exit status 3 says that it went back, and why.

The command stays with the console until Ctrl-C. With --console all keys go to
the machine, Ctrl-] ends it. With --exec the exit status is the command's.`

// runOptions are the flags of run.
type runOptions struct {
	config        string // file, or ""
	image         string
	ports         []string
	waitHTTP      string
	memory, cpus  int
	disks         []string
	tpm           bool
	firmware      string
	segment       string // port, or ""
	sshKey        string
	snapshot      bool
	console       bool
	exec          string
	exitWhenReady bool
	accel         string
	timeout       time.Duration
	log           string
	kernelArgs    []string
	cloud         string
	updateFrom    string
}

func runCommand(a *app) *cobra.Command {
	o := &runOptions{}
	c := &cobra.Command{
		Use:   "run [CONFIG]",
		Short: "Boot the image in a virtual machine",
		Long:  runLong,
		Example: `  wellcar run examples/hello.bu --port 8080:80
  wellcar run --exec 'systemctl is-system-running'
  wellcar run app.bu --update-from builds/0.1.0 --exit-when-ready`,
		Args: cobra.MaximumNArgs(1),
	}
	f := c.Flags()
	machineFlags(f, o)
	f.StringVar(&o.image, "image", "", "disk image to boot instead of the built one")
	f.StringVar(&o.sshKey, "ssh-key", "", "private SSH key file to log in with (default: a new key)")
	f.BoolVar(&o.snapshot, "snapshot", true, "drop all changes to the image at the end")
	f.BoolVar(&o.console, "console", false, "show the console from power-on and send it all keys")
	f.StringVar(&o.exec, "exec", "", "run a command over SSH and exit with its status")
	f.BoolVar(&o.exitWhenReady, "exit-when-ready", false, "end the machine once it is ready")
	f.StringVar(&o.accel, "accel", "auto", "auto, kvm or tcg")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long the machine may take to become ready")
	f.StringVar(&o.log, "log", "", "file for the console's lines with time stamps")
	f.StringVar(&o.updateFrom, "update-from", "", "older build `DIR|IMAGE` to start with and to update from")
	f.StringArrayVar(&o.kernelArgs, "append", nil, "word for the kernel command line (repeatable)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			o.config = args[0]
		}
		return runMachine(c.Context(), a, o, c.Flags())
	}
	return c
}

// machineFlags are those that a config may set.
func machineFlags(f *pflag.FlagSet, o *runOptions) {
	f.StringArrayVar(&o.ports, "port", nil, "forward HOST:GUEST, or GUEST to a free port of the host (repeatable)")
	f.StringVar(&o.waitHTTP, "wait-http", "", "the machine is ready when this guest :PORT/PATH answers")
	f.IntVar(&o.memory, "memory", 0, "MiB (default 2048)")
	f.IntVar(&o.cpus, "cpus", 0, "number of CPUs (default: the host's, at most 4)")
	f.StringArrayVar(&o.disks, "disk", nil, "further empty disk of this size, such as 10G (repeatable)")
	f.StringVar(&o.cloud, "cloud", "", "file that says what the cloud answers (see docs/platforms.md); the config comes from there")
	f.BoolVar(&o.tpm, "tpm", false, "give the machine a TPM 2.0")
	f.StringVar(&o.firmware, "firmware", "uefi", "uefi or bios")
	f.StringVar(&o.segment, "segment", "", "further network card on a network of all machines started with the same `PORT`")
}

// configFlags takes the flags that a config's "# wellcar run:" lines set and
// the command line does not.
func configFlags(name string, text []byte, given *pflag.FlagSet, o *runOptions) error {
	var fromConfig runOptions
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	machineFlags(f, &fromConfig)
	for i, line := range strings.Split(string(text), "\n") {
		words, ok := strings.CutPrefix(strings.TrimSpace(line), "# wellcar run: ")
		if !ok {
			continue
		}
		if err := f.Parse(strings.Fields(words)); err != nil {
			return withCode(exitUsage, fmt.Errorf("%s:%d: %w", name, i+1, err))
		}
	}
	var err error
	f.Visit(func(flag *pflag.Flag) {
		if given.Changed(flag.Name) || err != nil {
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			err = given.Set(flag.Name, v)
		}
	})
	return err
}

// parsePort reads HOST:GUEST or GUEST.
func parsePort(s string) (qemu.Port, error) {
	host, guest, both := strings.Cut(s, ":")
	if !both {
		host, guest = "0", host
	}
	h, err1 := strconv.ParseUint(host, 10, 16)
	g, err2 := strconv.ParseUint(guest, 10, 16)
	if err1 != nil || err2 != nil || g == 0 {
		return qemu.Port{}, fmt.Errorf("port %q: write HOST:GUEST, such as 8080:80", s)
	}
	return qemu.Port{Host: int(h), Guest: int(g)}, nil
}

// httpCheck is what --wait-http names.
type httpCheck struct {
	port int // of the guest
	path string
}

func parseHTTP(s string) (httpCheck, error) {
	port, path, _ := strings.Cut(strings.TrimPrefix(s, ":"), "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return httpCheck{}, fmt.Errorf("--wait-http %q: write :PORT/PATH, such as :80/", s)
	}
	return httpCheck{int(n), "/" + path}, nil
}

// leastMemory is what a machine needs to unpack its initrd and start docker.
const leastMemory = 512 // MiB

// checkSize refuses a machine that could not start; 0 means the default.
func (o *runOptions) checkSize() error {
	if o.memory != 0 && o.memory < leastMemory {
		return fmt.Errorf("--memory %d: a machine needs %d MiB at least", o.memory, leastMemory)
	}
	if o.cpus < 0 {
		return fmt.Errorf("--cpus %d: a machine needs 1 at least", o.cpus)
	}
	return nil
}

// machine is the part of a machine that the flags decide.
func (o *runOptions) machine() (qemu.Machine, error) {
	if err := o.checkSize(); err != nil {
		return qemu.Machine{}, err
	}
	m := qemu.Machine{Memory: o.memory, CPUs: o.cpus, TPM: o.tpm, Persist: !o.snapshot, KernelArgs: slices.Clone(o.kernelArgs)}
	if o.config == "" {
		m.KernelArgs = append(m.KernelArgs, "flatcar.autologin")
	}
	var err error
	if m.Firmware, err = qemu.ParseFirmware(cmp.Or(o.firmware, string(qemu.UEFI))); err != nil {
		return m, fmt.Errorf("--firmware: %w", err)
	}
	if o.segment != "" {
		if m.Segment, err = qemu.ParseSegment(o.segment); err != nil {
			return m, fmt.Errorf("--segment: %w", err)
		}
	}
	for _, s := range o.disks {
		size, err := page.ParseSize(s)
		if err != nil {
			return m, fmt.Errorf("--disk: %w", err)
		}
		m.Disks = append(m.Disks, int64(size))
	}
	for _, s := range o.ports {
		p, err := parsePort(s)
		if err != nil {
			return m, err
		}
		m.Ports = append(m.Ports, p)
	}
	ensurePort(&m, 22)
	if o.waitHTTP != "" {
		check, err := parseHTTP(o.waitHTTP)
		if err != nil {
			return m, err
		}
		ensurePort(&m, check.port)
	}
	return m, nil
}

func ensurePort(m *qemu.Machine, guest int) {
	if !slices.ContainsFunc(m.Ports, func(p qemu.Port) bool { return p.Guest == guest }) {
		m.Ports = append(m.Ports, qemu.Port{Guest: guest})
	}
}

// runMachine is the verb.
func runMachine(ctx context.Context, a *app, o *runOptions, flags *pflag.FlagSet) error {
	var text []byte
	if o.config != "" {
		var err error
		if text, err = os.ReadFile(o.config); err != nil {
			return withCode(exitUsage, fmt.Errorf("reading the config: %w", err))
		}
		if err := configFlags(o.config, text, flags, o); err != nil {
			return err
		}
	}
	m, err := o.machine()
	if err != nil {
		return withCode(exitUsage, err)
	}
	accel, err := qemu.ParseAccel(o.accel)
	if err != nil {
		return withCode(exitUsage, err)
	}
	m.Accel = accel
	host, err := prepareHost(ctx, a, o.image)
	if err != nil {
		return err
	}
	defer host.close()
	b := bootOptions{
		config: o.config, text: text, sshKey: o.sshKey, log: o.log, console: o.console, cloud: o.cloud,
		registry: bytes.Contains(text, []byte(registryAddress)),
	}
	if o.updateFrom != "" {
		if b.rollout, err = prepareRollout(ctx, a, o.updateFrom, host.image.Path); err != nil {
			return err
		}
		defer b.rollout.close()
	}
	g, err := host.boot(ctx, m, b)
	if err != nil {
		return withCode(exitMachine, err)
	}
	defer g.close()
	return g.attend(ctx, a, o)
}
