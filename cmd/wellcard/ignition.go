//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
	"wellcar.dev/internal/provision/stage"
)

// ignitionVersion names the release whose contract is kept.
const ignitionVersion = "Ignition 2.26.0 (Wellcar)"

// Exit codes of ignition beside 0 and 2.
const (
	codeFailed = 1 // a stage failed
	codeSetup  = 3 // the state of earlier stages cannot be read
)

// exitCode ends the program with a code; what there is to tell has been told.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// ignition is one stage in the form that programs made for Ignition expect.
type ignition struct {
	provisioning
	stage  provision.Stage
	ops    int
	errOut io.Writer
	full   provision.Config
}

func runIgnition(ctx context.Context, args []string, out, errOut io.Writer) error {
	g := &ignition{errOut: errOut}
	g.out, g.start, g.files, g.sync = out, time.Now(), stage.DefaultFiles, true
	g.files.Restart = "" // this program restarts the machine by itself
	f := flag.NewFlagSet("ignition", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&g.files.Cache, "config-cache", g.files.Cache, "`file` that keeps the config for later stages")
	f.DurationVar(&g.timeout, "fetch-timeout", fetchTimeout, "how long to wait for the config")
	f.StringVar(&g.files.NeedNet, "neednet", g.files.NeedNet, "`file` that fetch-offline makes if a network is needed")
	f.Func("platform", "current platform: "+strings.Join(platform.IDs(), ", "), g.setPlatform)
	f.StringVar(&g.root, "root", "/", "`directory` that is the machine's root")
	f.Func("stage", "stage to carry out: "+(*stageList)(&provision.Stages).String(), g.setStage)
	f.StringVar(&g.files.State, "state-file", g.files.State, "`file` that keeps what else later stages need")
	version := f.Bool("version", false, "print the version and exit")
	toStdout := f.Bool("log-to-stdout", false, "log to stdout instead of the journal")
	if err := parse(f, args); err != nil {
		return err
	}
	if *version {
		fmt.Fprintln(out, ignitionVersion)
		return nil
	}
	for name, value := range map[string]string{"--platform": g.platform, "--stage": string(g.stage)} {
		if value == "" {
			fmt.Fprintf(errOut, "'%s' must be provided\n", name)
			return errUsage
		}
	}
	log, closeLog := openLog(out, *toStdout)
	defer closeLog()
	g.log = log
	return g.run(ctx)
}

func (g *ignition) setPlatform(id string) error {
	if !slices.Contains(platform.IDs(), id) {
		return errors.New("there is no such platform")
	}
	g.platform = id
	return nil
}

func (g *ignition) setStage(name string) error {
	if !slices.Contains(provision.Stages, provision.Stage(name)) {
		return errors.New("there is no such stage")
	}
	g.stage = provision.Stage(name)
	return nil
}

func (g *ignition) run(ctx context.Context) error {
	if g.root == "" {
		g.root = "/"
	}
	g.setOEM(filepath.Join(g.root, "oem"))
	g.stages = stageList{g.stage}
	g.log.tell(info, ignitionVersion)
	g.log.tell(info, "Stage: "+string(g.stage))
	s := g.session()
	s.Files = g.files
	s.Begin = g.begin
	s.Config = func(_, full provision.Config) { g.full = full }
	target := s.Target
	s.Target = func(stages []provision.Stage) (provision.Target, error) {
		t, err := target(stages)
		t.Start, t.Step, t.Kernel = g.started, g.step, bootedLine()
		return t, err
	}
	err := errors.Join(s.Run(ctx, g.stage), g.closeAll())
	if err == nil && s.Restarting() {
		g.log.tell(info, "restarting for the kernel arguments")
		_, err = output(ctx, "/usr/bin/systemctl", "reboot")
	}
	if err == nil {
		g.log.tell(info, string(g.stage)+": "+string(g.stage)+" passed")
		g.log.tell(info, "Ignition finished successfully")
		return nil
	}
	return g.fail(err)
}

// fail tells of a failure in the log, and of the config on stderr.
func (g *ignition) fail(err error) error {
	g.tellAll(err)
	fmt.Fprintf(g.errOut, "%s failed\n", g.stage)
	if g.full.Provided() {
		if text, jsonErr := json.MarshalIndent(g.full.Ignition, "", "  "); jsonErr == nil {
			fmt.Fprintf(g.errOut, "Full config:\n%s\n", text)
		}
	}
	g.log.tell(critical, "Ignition failed: "+err.Error())
	if errors.Is(err, stage.ErrState) {
		return exitCode(codeSetup)
	}
	return exitCode(codeFailed)
}

// begin takes a plan.
func (g *ignition) begin(plan provision.Plan, _ []provision.Stage) error {
	for _, w := range plan.Warnings {
		g.note(w)
	}
	return nil
}

func (g *ignition) started(_ int, s provision.Step) {
	g.ops++
	g.op(info, "[started]  "+s.Describe())
}

func (g *ignition) step(_ int, s provision.Step, r provision.StepResult) {
	switch r.Outcome {
	case provision.Failed:
		g.op(critical, "[failed]   "+s.Describe()+": "+r.Err.Error())
	default:
		g.op(info, "[finished] "+s.Describe())
	}
	if keys, ok := s.Action.(*provision.SSHKeys); ok && r.Outcome == provision.Done {
		g.log.tell(info, "wrote ssh authorized keys file for user: "+keys.User, keysEntry(keys.User, keys.File())...)
	}
}

func (g *ignition) op(p priority, text string) {
	g.log.tell(p, fmt.Sprintf("%s: op(%x): %s", g.stage, g.ops, text))
}
