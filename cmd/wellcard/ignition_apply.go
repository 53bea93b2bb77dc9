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
	"slices"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"

	"wellcar.dev/internal/provision"
)

// runIgnitionApply carries out the files stage in a container.
func runIgnitionApply(ctx context.Context, args []string, out, errOut io.Writer) error {
	g := &ignition{errOut: errOut, stage: provision.StageFiles}
	g.out, g.log = out, levelLog{out}
	f := flag.NewFlagSet("ignition-apply", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&g.root, "root", "/", "`directory` that is the root")
	ignore := f.Bool("ignore-unsupported", false, "leave out sections that are not for a container")
	offline := f.Bool("offline", false, "fail if the config refers to something elsewhere")
	version := f.Bool("version", false, "print the version and exit")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if *version {
		fmt.Fprintln(out, ignitionVersion)
		return nil
	}
	if f.NArg() != 1 {
		f.Usage()
		return exitCode(codeFailed)
	}
	g.log.tell(info, ignitionVersion)
	if err := g.apply(ctx, f.Arg(0), *ignore, *offline); err != nil {
		g.tellAll(err)
		g.log.tell(critical, "failed to apply: "+err.Error())
		return exitCode(codeFailed)
	}
	return nil
}

func (g *ignition) apply(ctx context.Context, name string, ignore, offline bool) error {
	g.setOEM(filepath.Join(g.root, "oem"))
	config, err := g.loadApplied(ctx, name, offline)
	if err != nil {
		return err
	}
	if !inContainer() {
		return errors.New("this is made for containers; a machine is provisioned anew instead")
	}
	if g.root, err = filepath.Abs(g.root); err != nil {
		return err
	}
	if err := onlyFiles(&config.Ignition, ignore); err != nil {
		return err
	}
	target, err := g.target(nil)
	if err != nil {
		return err
	}
	target.Start, target.Step, target.Fetch = g.started, g.step, g.fetcher(offline)
	facts, err := provision.Gather(ctx, config, target)
	if err != nil {
		return fmt.Errorf("looking at the root directory: %w", err)
	}
	plan, err := config.Plan(facts)
	if err != nil {
		return err
	}
	plan.Steps = slices.DeleteFunc(plan.Steps, func(s provision.Step) bool { return s.Action.Kind() == "writeResult" })
	return errors.Join(provision.ApplyStages(ctx, plan, target, provision.StageFiles), g.closeAll())
}

// loadApplied reads a config from a file, or from stdin if its name is "-".
func (g *ignition) loadApplied(ctx context.Context, name string, offline bool) (provision.Config, error) {
	read := os.ReadFile
	if name == "-" {
		read = func(string) ([]byte, error) { return io.ReadAll(os.Stdin) }
	}
	data, err := read(name)
	if err != nil {
		return provision.Config{}, fmt.Errorf("reading the config: %w", err)
	}
	config, report := provision.Load(name, data, provision.LoadOptions{})
	if err := report.Err(); err != nil {
		return config, err
	}
	config, more := config.Render(ctx, g.fetcher(offline))
	for _, p := range append(report, more...) {
		if p.Severity != provision.Error {
			g.note(p)
		}
	}
	if err := more.Err(); err != nil {
		return config, err
	}
	if offline && provision.NeedsNetwork(config) {
		return config, fmt.Errorf("the config refers to something elsewhere: %w", provision.ErrNeedsNetwork)
	}
	return config, nil
}

// onlyFiles refuses what makes no sense in a container, or takes it out.
func onlyFiles(c *types.Config, ignore bool) error {
	s := &c.Storage
	for what, n := range map[string]int{
		"kernel arguments": len(c.KernelArguments.ShouldExist) + len(c.KernelArguments.ShouldNotExist),
		"disks":            len(s.Disks) + len(s.Raid) + len(s.Luks), "file systems": len(s.Filesystems),
		"users and groups": len(c.Passwd.Users) + len(c.Passwd.Groups),
	} {
		if n > 0 && !ignore {
			return fmt.Errorf("%s cannot be set in a container; leave them out, or give --ignore-unsupported", what)
		}
	}
	s.Disks, s.Raid, s.Luks, s.Filesystems = nil, nil, nil, nil
	c.KernelArguments, c.Passwd = types.KernelArguments{}, types.Passwd{}
	return nil
}

// inContainer follows the marks that runtimes leave.
func inContainer() bool {
	if os.Getenv("container") != "" {
		return true
	}
	for _, name := range []string{"/run/.containerenv", "/.dockerenv"} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}
