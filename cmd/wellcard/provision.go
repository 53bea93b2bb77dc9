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
	"slices"
	"strings"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
	"wellcar.dev/internal/provision/stage"
	"wellcar.dev/internal/sys/rootfs"
	"wellcar.dev/internal/sys/storage"
)

// provisioning is one run of the applet.
type provisioning struct {
	reporter

	root, platform, config, oem, record string
	esp                                 string // device of the EFI system partition
	planOnly, sync, oemGiven            bool
	stages                              stageList
	files                               stage.Files
	timeout                             time.Duration // for the platform's own fetch
	out                                 io.Writer     // of the plan
	log                                 teller
	start                               time.Time
	rec                                 provision.Record
	disks                               *storage.Machine
	oemFiles                            *oemFiles
	close                               []func() error
}

// stageList is a flag: stages separated by commas.
type stageList []provision.Stage

func (l *stageList) String() string {
	var names []string
	for _, s := range *l {
		names = append(names, string(s))
	}
	return strings.Join(names, ",")
}

// Set implements flag.Value.
func (l *stageList) Set(text string) error {
	*l = nil
	last := -1
	for name := range strings.SplitSeq(text, ",") {
		at := slices.Index(provision.Stages, provision.Stage(name))
		if at <= last {
			all := stageList(provision.Stages)
			return fmt.Errorf("stages are %s, in this order", all.String())
		}
		last, *l = at, append(*l, provision.Stages[at])
	}
	return nil
}

func runProvision(ctx context.Context, args []string, out, errOut io.Writer) error {
	p := &provisioning{out: out, log: plainLog{out, "provision"}, start: time.Now(), files: stage.DefaultFiles, timeout: fetchTimeout}
	f := flag.NewFlagSet("provision", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&p.root, "root", "/", "`directory` that is the machine's root")
	f.StringVar(&p.platform, "platform", "", "where the config comes from: "+strings.Join(platform.IDs(), ", "))
	f.StringVar(&p.config, "config", "", "`file` with the config, instead of the platform's")
	f.StringVar(&p.oem, "oem", "", "`directory` that the OEM partition is mounted on until the disks stage (default oem in the root)")
	f.StringVar(&p.esp, "esp", "", "`device` with the EFI system partition, for kernel arguments; no other program may have it mounted")
	f.StringVar(&p.record, "record", provision.RecordFile, "`file` that records what was done; empty for none")
	f.Var(&p.stages, "stage", "`stages` to carry out, separated by commas, when several processes share the work: "+(*stageList)(&provision.Stages).String())
	f.StringVar(&p.files.Cache, "config-cache", p.files.Cache, "with --stage: `file` that keeps the config for later stages")
	f.StringVar(&p.files.State, "state-file", p.files.State, "with --stage: `file` that keeps what else later stages need")
	f.StringVar(&p.files.NeedNet, "neednet", p.files.NeedNet, "with --stage: `file` that says that the network is needed")
	f.StringVar(&p.files.Restart, "restart", p.files.Restart, "with --stage: `file` that says that the machine must restart before the stages after kargs")
	f.BoolVar(&p.sync, "sync", true, "wait until everything is on the disk")
	f.BoolVar(&p.planOnly, "plan", false, "print the steps and do nothing")
	if err := parse(f, args); err != nil {
		return err
	}
	if p.platform == "" && p.config == "" {
		fmt.Fprintln(errOut, "provision: --platform or --config is needed")
		return errUsage
	}
	return p.runRecorded(ctx)
}

func (p *provisioning) runRecorded(ctx context.Context) error {
	if p.oemGiven = p.oem != ""; !p.oemGiven {
		p.oem = filepath.Join(p.root, "oem")
	}
	p.setOEM(p.oem)
	p.resumeRecord()
	p.rec.Platform = p.platform
	err := p.run(ctx)
	if err != nil { // a failure leaves nothing mounted
		err = errors.Join(err, p.disks.UnmountAll(context.WithoutCancel(ctx)))
	}
	err = errors.Join(err, p.closeAll())
	p.tellAll(err)
	p.rec.End(err, time.Since(p.start))
	if recErr := p.saveRecord(); err == nil {
		err = recErr
	}
	return err
}

func (p *provisioning) closeAll() error {
	var errs []error
	for _, f := range p.close {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// session joins the engine with this machine.
func (p *provisioning) session() *stage.Session {
	p.disks = storage.This()
	if p.oemGiven {
		p.disks.Ignore = []string{p.oem}
	}
	return &stage.Session{
		Base: p.base, User: p.user, Fetcher: p.fetcher, Target: p.target, Facts: p.facts,
		Fetched: p.fetched, Note: p.note, Begin: p.begin, Before: p.releaseOEM, Ended: p.ended,
	}
}

// ended hears of the end of each stage. What is kept on the machine is written
// while the config's file systems are mounted: /var may be one of them.
func (p *provisioning) ended(s provision.Stage, failure error) {
	p.tellCloud(s, failure)
	if s == provision.StageFiles && failure == nil {
		p.keepErr = p.keepOnMachine()
	}
}

// errPlanned ends a run that was asked for the plan only.
var errPlanned = errors.New("planned")

func (p *provisioning) run(ctx context.Context) error {
	s := p.session()
	p.listen(s)
	stages := p.stages
	if len(stages) > 0 {
		s.Files = p.files
	} else {
		stages = provision.Stages[1:]
	}
	err := s.Run(ctx, stages...)
	switch {
	case errors.Is(err, errPlanned):
		return nil
	case err != nil:
		return err
	case s.Waiting():
		p.say("a network is needed; the rest follows when there is one")
		return nil
	case s.Restarting():
		p.say("the machine has to restart for its kernel arguments; the rest follows then")
		return nil
	}
	if stages[len(stages)-1] == provision.StageUmount {
		p.sayDone()
	}
	return nil
}

// sayDone is the last word of all processes that shared the stages.
func (p *provisioning) sayDone() {
	steps := "1 step"
	if n := len(p.rec.Steps); n != 1 {
		steps = fmt.Sprintf("%d steps", n)
	}
	took := time.Duration(p.rec.DurationUS)*time.Microsecond + time.Since(p.start)
	p.say("done, %s in %s", steps, took.Round(time.Millisecond))
}

func (p *provisioning) begin(plan provision.Plan, stages []provision.Stage) error {
	if p.planOnly {
		if _, err := io.WriteString(p.out, provision.Render(plan)); err != nil {
			return err
		}
		return errPlanned
	}
	p.rec.Begin(plan, stages...)
	if p.first() {
		for _, w := range plan.Warnings {
			p.note(w)
		}
	}
	return nil
}

// first tells whether this is the first process that has a plan.
func (p *provisioning) first() bool {
	return len(p.stages) == 0 || slices.Contains(p.stages, provision.StageKargs)
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

func (p *provisioning) target([]provision.Stage) (provision.Target, error) {
	root, err := rootfs.Open(p.root, rootfs.Options{})
	if err != nil {
		return provision.Target{}, err
	}
	p.close = append(p.close, root.Close)
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // an id that cannot be read stays empty
	return provision.Target{
		Files: root, Run: root.Run, RunHere: output, BootID: strings.TrimSpace(string(boot)), Step: p.step, NoSync: !p.sync,
		Disks: p.disks, Kernel: p.kernelLine(), Root: p.root, PlainKeys: os.Getenv("IGNITION_WRITE_AUTHORIZED_KEYS_FRAGMENT") == "false",
	}, nil
}

func (p *provisioning) facts(ctx context.Context, c provision.Config, t provision.Target) (provision.Facts, error) {
	facts, err := provision.Gather(ctx, c, t)
	if err == nil && facts.Users == nil {
		facts.Users, facts.Groups, err = shippedAccounts(ctx, c, shippedRoot)
	}
	facts.Platform, facts.KernelLine = p.platform, imageLine()
	switch {
	case err != nil || !p.first() && !slices.Contains(p.stages, provision.StageDisks):
	case p.first() && c.KernelChange(runningLine(), facts.KernelLine) != nil: // a disk may be there only after the restart
		facts.Disks = provision.GlanceAtDisks(ctx, c, p.disks)
	default:
		facts.Disks, err = provision.LookAtDisks(ctx, c, p.disks)
	}
	return facts, err
}

// runningLine is the kernel command line; empty if it cannot be read.
func runningLine() string {
	text, _ := os.ReadFile(cmdlineFile.get())
	return string(text)
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
	p.log.tell(info, fmt.Sprintf(format, args...))
}

func (p *provisioning) note(problem provision.Problem) {
	level := info
	if problem.Severity == provision.Warning {
		level = warning
	}
	p.log.tell(level, problem.String())
}
