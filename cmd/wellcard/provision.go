//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
	"wellcar.dev/internal/sys/rootfs"
)

// provisioning is one run of the applet.
type provisioning struct {
	root, platform, config, record string
	planOnly, sync                 bool
	out                            io.Writer
	start                          time.Time
	rec                            provision.Record
}

func runProvision(ctx context.Context, args []string, out, errOut io.Writer) error {
	p := &provisioning{out: out, start: time.Now()}
	f := flag.NewFlagSet("provision", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&p.root, "root", "/", "`directory` that is the machine's root")
	f.StringVar(&p.platform, "platform", "", "where the config comes from: "+strings.Join(platform.IDs(), ", "))
	f.StringVar(&p.config, "config", "", "`file` with the config, instead of the platform's")
	f.StringVar(&p.record, "record", provision.RecordFile, "`file` that records what was done; empty for none")
	f.BoolVar(&p.sync, "sync", true, "wait until everything is on the disk")
	f.BoolVar(&p.planOnly, "plan", false, "print the steps and do nothing")
	if err := parse(f, args); err != nil {
		return err
	}
	if p.platform == "" && p.config == "" {
		fmt.Fprintln(errOut, "provision: --platform or --config is needed")
		return errUsage
	}
	p.rec.Platform = p.platform
	err := p.run(ctx)
	p.tellAll(err)
	p.rec.End(err, time.Since(p.start))
	if recErr := p.saveRecord(); err == nil {
		err = recErr
	}
	return err
}

func (p *provisioning) run(ctx context.Context) error {
	root, err := rootfs.Open(p.root, rootfs.Options{})
	if err != nil {
		return err
	}
	defer root.Close()
	config, err := p.load(ctx)
	if err != nil {
		return err
	}
	target := p.target(root)
	target.NoSync = !p.sync
	facts, err := provision.Gather(ctx, config, target)
	if err != nil {
		return fmt.Errorf("looking at the accounts of %s: %w", p.root, err)
	}
	facts.Platform = p.platform
	plan, err := config.Plan(facts)
	if err != nil {
		return err
	}
	if p.planOnly {
		_, err := io.WriteString(p.out, provision.Render(plan))
		return err
	}
	p.rec.Begin(plan)
	for _, w := range plan.Warnings {
		p.say("%s", w)
	}
	if err := provision.Apply(ctx, plan, target); err != nil {
		return err
	}
	p.say("done, %d steps in %s", len(plan.Steps), time.Since(p.start).Round(time.Millisecond))
	return nil
}

// tellAll prints every error of a report; the caller prints the first again as
// the last line.
func (p *provisioning) tellAll(err error) {
	var report provision.Report
	if !errors.As(err, &report) || len(report) < 2 {
		return
	}
	for _, problem := range report {
		p.say("%s", problem)
	}
}

func (p *provisioning) target(root *rootfs.Root) provision.Target {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // an id that cannot be read stays empty
	return provision.Target{Files: root, Run: root.Run, BootID: strings.TrimSpace(string(boot)), Step: p.step}
}

// step tells and records what came of a step.
func (p *provisioning) step(i int, s provision.Step, r provision.StepResult) {
	p.rec.Step(i, s, r)
	switch r.Outcome {
	case provision.Done:
		p.say("%s", s.Action.Summary().Done())
	case provision.Kept:
		p.say("nothing to do: %s", s.Describe())
	}
}

func (p *provisioning) say(format string, args ...any) {
	fmt.Fprintf(p.out, "provision: "+format+"\n", args...)
}

// load finds and reads the configs, the user's over the base.
func (p *provisioning) load(ctx context.Context) (provision.Config, error) {
	found, err := p.find(ctx)
	if err != nil {
		return provision.Config{}, err
	}
	base, err := p.read(found.Base)
	if err != nil {
		return provision.Config{}, err
	}
	user, err := p.read(found.User)
	if err != nil {
		return provision.Config{}, err
	}
	if p.rec.Source = found.User.Name; user.Provided() {
		p.say("config from %s", found.User.Name)
	} else {
		p.say("no config (%s)", found.User.Name)
	}
	merged := provision.Merge(base, user)
	merged.UserProvided = user.Provided()
	return merged, nil
}

func (p *provisioning) find(ctx context.Context) (platform.Configs, error) {
	if p.config != "" {
		data, err := os.ReadFile(p.config)
		return platform.Configs{User: platform.Found{Name: p.config, Data: data}}, err
	}
	return platform.Find(ctx, p.platform, platform.Env{
		Sys: os.DirFS("/sys"), OEM: os.DirFS(filepath.Join(p.root, "oem")),
		Config: os.Getenv("IGNITION_CONFIG_FILE"), ReadFile: os.ReadFile,
	})
}

// read parses a text and tells its warnings.
func (p *provisioning) read(f platform.Found) (provision.Config, error) {
	var opt provision.LoadOptions
	name := f.Name
	if len(f.Source) > 0 {
		source, err := provision.DecodeSource(f.Source)
		if err != nil {
			p.say("warning: %v", err)
		} else {
			opt.Source = source
		}
	}
	c, report := provision.Load(name, f.Data, opt)
	if err := report.Err(); err != nil {
		return c, err
	}
	for _, w := range report {
		p.say("%s", w)
	}
	return c, nil
}

func (p *provisioning) saveRecord() error {
	if p.record == "" || p.planOnly {
		return nil
	}
	data, err := p.rec.Encode()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(p.record), 0o755)
	}
	if err == nil {
		err = os.WriteFile(p.record, data, 0o644)
	}
	if err != nil {
		return fmt.Errorf("recording the outcome: %w", err)
	}
	return nil
}
