//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"wellcar.dev/internal/cloudinit"
	"wellcar.dev/internal/sys/command"
)

// cloudinitVersion is the level of the original that this follows.
const cloudinitVersion = "1.14.0"

// initializing is one run of coreos-cloudinit.
type initializing struct {
	file, url, configDrive, waagent, ec2, gce, digitalOcean, ovfEnv string
	ec2Default, vmware, cmdline                                     bool
	netconf, workspace, keyName, oem                                string
	validate, ignoreFailure                                         bool
	out, errOut                                                     io.Writer
}

func runCloudinit(ctx context.Context, args []string, out, errOut io.Writer) error {
	c := &initializing{out: out, errOut: errOut}
	f := flag.NewFlagSet("coreos-cloudinit", flag.ContinueOnError)
	f.SetOutput(errOut)
	version := f.Bool("version", false, "print the version and exit")
	c.flags(f)
	if err := parse(f, args); err != nil {
		return err
	}
	if *version {
		fmt.Fprintf(out, "coreos-cloudinit %s\n", cloudinitVersion)
		return nil
	}
	if err := c.applyOEM(); err != nil {
		fmt.Fprintf(errOut, "coreos-cloudinit: %v\n", err)
		return errUsage
	}
	sources := c.sources()
	if len(sources) == 0 {
		fmt.Fprintln(errOut, "coreos-cloudinit: give at least one of the flags --from-...")
		return errUsage
	}
	return c.run(ctx, sources)
}

func (c *initializing) flags(f *flag.FlagSet) {
	f.BoolVar(&c.ignoreFailure, "ignore-failure", false, "exit with 0 when the user data is malformed")
	f.BoolVar(&c.validate, "validate", false, "look for mistakes in the user data and do nothing else")
	f.StringVar(&c.file, "from-file", "", "`file` with the user data")
	f.StringVar(&c.url, "from-url", "", "`address` of the user data")
	f.StringVar(&c.configDrive, "from-configdrive", "", "`directory` where a config drive is mounted")
	f.StringVar(&c.waagent, "from-waagent", "", "`directory` of the agent of Azure")
	f.StringVar(&c.ec2, "from-ec2-metadata", "", "`address` of a metadata service in the form of EC2")
	f.BoolVar(&c.ec2Default, "from-metadata-service", false, "deprecated: the same as --from-ec2-metadata http://169.254.169.254/")
	f.StringVar(&c.gce, "from-gce-metadata", "", "`address` of the metadata service of Google")
	f.StringVar(&c.digitalOcean, "from-digitalocean-metadata", "", "`address` of the metadata service of DigitalOcean")
	f.BoolVar(&c.vmware, "from-vmware-guestinfo", false, "read the guestinfo of VMware")
	f.StringVar(&c.ovfEnv, "from-vmware-ovf-env", "", "`file` with an OVF environment")
	f.BoolVar(&c.cmdline, "from-proc-cmdline", false, "take the address from cloud-config-url= of the kernel command line")
	f.StringVar(&c.netconf, "convert-netconf", "", "make units of networkd of the network configuration in this `form`: vmware")
	f.StringVar(&c.workspace, "workspace", "/var/lib/coreos-cloudinit", "`directory` to keep scripts in")
	f.StringVar(&c.keyName, "ssh-key-name", "coreos-cloudinit", "`name` of the set of SSH keys")
	f.StringVar(&c.oem, "oem", "", "use the flags of a `platform`: "+strings.Join(slices.Sorted(maps.Keys(oemFlags)), ", ")+"; cmdline takes it from the kernel command line")
}

const linkLocal = "http://169.254.169.254/"

// oemFlags are what --oem stands for.
var oemFlags = map[string]func(*initializing){
	"digitalocean": func(c *initializing) { c.digitalOcean = linkLocal },
	"ec2-compat":   func(c *initializing) { c.ec2, c.configDrive = linkLocal, "/media/configdrive" },
	"gce":          func(c *initializing) { c.gce = linkLocal },
	"azure":        func(c *initializing) { c.waagent = "/var/lib/waagent" },
	"vmware":       func(c *initializing) { c.vmware, c.netconf = true, "vmware" },
}

// oemNames are the platforms that have the flags of another.
var oemNames = map[string]string{"ec2": "ec2-compat", "aws": "ec2-compat", "openstack": "ec2-compat", "packet": "ec2-compat", "gcp": "gce"}

func (c *initializing) applyOEM() error {
	id := c.oem
	if id == "cmdline" {
		a := asking{cmdlineFile: "/proc/cmdline"}
		if err := a.findProvider(); err != nil {
			return err
		}
		if id = a.provider; id == "" {
			return errors.New("the kernel command line names no platform")
		}
	}
	if name, ok := oemNames[id]; ok && c.oem == "cmdline" {
		id = name
	}
	if set, ok := oemFlags[id]; ok {
		set(c)
	} else if id != "" {
		return fmt.Errorf("--oem does not know %q; known are %s", id, strings.Join(slices.Sorted(maps.Keys(oemFlags)), ", "))
	}
	if c.netconf != "" && c.netconf != "vmware" {
		return fmt.Errorf("--convert-netconf does not know %q; known is vmware", c.netconf)
	}
	if c.ec2Default && c.ec2 == "" {
		c.ec2 = linkLocal
	}
	return nil
}

func (c *initializing) logf(format string, args ...any) {
	fmt.Fprintf(c.errOut, "coreos-cloudinit: "+format+"\n", args...)
}

func (c *initializing) run(ctx context.Context, sources []cloudinitSource) error {
	s, err := choose(ctx, sources)
	if err != nil {
		return err
	}
	c.logf("user data from %s", s.name)
	text, facts, err := s.fetch(ctx)
	if err != nil {
		return fmt.Errorf("reading user data from %s: %w", s.name, err)
	}
	data, report := cloudinit.Parse(s.name, text, facts.orEnvironment().Values)
	for _, p := range report {
		fmt.Fprintln(c.errOut, p)
	}
	if c.validate {
		if len(report) > 0 {
			return fmt.Errorf("%s is not in order", s.name)
		}
		return nil
	}
	m := cloudinit.Machine{
		Root: "/", Run: command.Exec, Workspace: c.workspace, KeyName: c.keyName, Logf: c.logf, Get: c.get,
	}
	if err := m.Network(ctx, facts.network); err != nil {
		return err
	}
	err = data.Apply(ctx, m, facts.orEnvironment())
	if err == nil {
		err = report.Err()
	}
	if err != nil && c.ignoreFailure {
		c.logf("warning: %v", err)
		return nil
	}
	return err
}

// cloudFacts are facts, and a network in the form of units of networkd.
type cloudFacts struct {
	cloudinit.Facts
	network []cloudinit.Unit
}

// orEnvironment fills the addresses that the cloud did not say from the
// environment, which the unit reads from /etc/environment.
func (f cloudFacts) orEnvironment() cloudinit.Facts {
	for to, name := range map[*string]string{
		&f.PublicIPv4: "COREOS_PUBLIC_IPV4", &f.PrivateIPv4: "COREOS_PRIVATE_IPV4",
		&f.PublicIPv6: "COREOS_PUBLIC_IPV6", &f.PrivateIPv6: "COREOS_PRIVATE_IPV6",
	} {
		if *to == "" {
			*to = os.Getenv(name)
		}
	}
	return f.Facts
}

var errNoSource = errors.New("no source of user data was there in time")
