//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/daytwo"
	"wellcar.dev/internal/sys/filelock"
	"wellcar.dev/internal/sys/rootfs"
)

const applyHelp = `Changes this machine to another config, without provisioning it again:

  wellcard apply NEW.ign --plan     show what would change
  wellcard apply NEW.ign --try 5m   change it; after 5 minutes it is undone ...
  wellcard apply --confirm          ... unless confirmed
  wellcard apply --undo             undo now, also what was confirmed
  wellcard apply NEW.ign            change it for good

What people changed by hand since stays, or is a conflict where the new config
changes it too. A reboot undoes what is not confirmed. With --allow-reboot the
machine restarts at once if the change needs it, and --try counts from then on.

`

// applyLock is held by whoever changes the machine, or takes a change back.
const applyLock = "/run/wellcar/apply.lock"

// applying is one run of the applet.
type applying struct {
	root, file                                 string
	plan, confirm, undo, boot, expired, asJSON bool
	try                                        time.Duration
	allow                                      daytwo.Allow
	out, log                                   io.Writer
	target                                     provision.Target
}

func runApply(ctx context.Context, args []string, out, errOut io.Writer) error {
	a := &applying{out: out, log: errOut}
	f := flag.NewFlagSet("apply", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&a.root, "root", "/", "`directory` that is the machine's root")
	f.BoolVar(&a.plan, "plan", false, "show what would change, and do nothing")
	f.Func("try", "undo the change after this `time` (90s, 5m, 1h) unless it is confirmed", a.setTry)
	f.BoolVar(&a.confirm, "confirm", false, "keep the change that is being tried")
	f.BoolVar(&a.undo, "undo", false, "undo the last change")
	f.BoolVar(&a.boot, "boot", false, "with --undo: the machine starts; undo only what nobody confirmed")
	f.BoolVar(&a.expired, "expired", false, "with --undo: the time is over; undo only what nobody confirmed")
	f.BoolVar(&a.allow.Force, "force", false, "replace, or with --undo lose, what people changed by hand")
	f.BoolVar(&a.allow.Reboot, "allow-reboot", false, "also change, or undo, what needs a reboot, and restart")
	f.BoolVar(&a.allow.Wipe, "allow-wipe", false, "also replace directories with all that is in them")
	f.BoolVar(&a.asJSON, "json", false, "print the plan as JSON")
	f.Usage = func() { fmt.Fprint(errOut, applyHelp); f.PrintDefaults() }
	words, err := parseWords(f, args)
	if err == nil {
		err = a.usage(words, errOut)
	}
	if err != nil {
		return err
	}
	return a.run(ctx)
}

// parseWords reads flags before and after other words.
func parseWords(f *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, errUsage
		}
		if f.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
}

func (a *applying) setTry(text string) (err error) {
	if a.try, err = time.ParseDuration(text); err != nil || a.try <= 0 {
		return errors.New("write a time as 90s, 5m or 1h")
	}
	return nil
}

func (a *applying) usage(words []string, errOut io.Writer) error {
	want, ends := 1, a.confirm || a.undo
	if ends {
		want = 0
	}
	if len(words) != want || a.confirm && a.undo || a.plan && a.try > 0 || ends && (a.plan || a.try > 0) || (a.boot || a.expired) && !a.undo {
		fmt.Fprintln(errOut, "apply: give a config with --plan, --try TIME or nothing, or --confirm or --undo without one")
		return errUsage
	}
	if want == 1 {
		a.file = words[0]
	}
	return nil
}

func (a *applying) run(ctx context.Context) error {
	root, err := rootfs.Open(a.root, rootfs.Options{})
	if err != nil {
		return err
	}
	defer root.Close()
	if !a.plan {
		lock, err := a.lock()
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	a.target = provision.Target{Files: root, Run: root.Run, Kernel: bootedLine()}
	switch {
	case a.confirm:
		return a.runConfirm(ctx)
	case a.undo:
		return a.runUndo(ctx)
	}
	return a.runChange(ctx)
}

// lock keeps other changes out. The timer's undoing and the boot's wait for
// one, and look afterwards what there is to undo.
func (a *applying) lock() (*os.File, error) {
	name := filepath.Join(a.root, applyLock)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fmt.Errorf("locking the machine's config: %w", err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the machine's config: %w", err)
	}
	if a.boot || a.expired {
		err = filelock.Lock(f)
	} else if err = filelock.Try(f); errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another wellcard apply changes this machine right now; try again when it has ended")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (a *applying) runConfirm(ctx context.Context) error {
	if err := daytwo.Confirm(a.target.Files); err != nil {
		return err
	}
	a.stopTimer(ctx)
	a.say("confirmed")
	return nil
}

func (a *applying) runChange(ctx context.Context) error {
	config, err := a.load(ctx)
	if err != nil {
		return err
	}
	plan, err := a.compare(ctx, config)
	if err != nil {
		return err
	}
	if a.plan {
		return a.show(plan)
	}
	if plan.Empty() {
		a.say("nothing to change")
		return nil
	}
	if err := a.refuse(plan); err != nil {
		return err
	}
	restart, err := a.apply(ctx, plan, config)
	if err != nil {
		return err
	}
	for _, c := range plan.Changes {
		a.say("%s", c)
	}
	return a.afterChange(ctx, restart)
}

func (a *applying) afterChange(ctx context.Context, restart bool) error {
	since := ""
	if restart {
		since = " after the restart"
	}
	if a.try > 0 {
		a.say("undone in %s%s unless confirmed: wellcard apply --confirm", a.try, since)
	}
	if !restart {
		return nil
	}
	if a.try > 0 {
		a.stopTimer(ctx) // another is started by the next boot
	}
	return a.restart(ctx)
}

// refuse tells everything that stands in the way.
func (a *applying) refuse(p daytwo.Plan) error {
	allow := a.allow
	allow.Try = a.try > 0
	err := p.Refuse(allow)
	if report := (provision.Report)(nil); errors.As(err, &report) && len(report) > 1 {
		for _, problem := range report {
			a.say("%s", problem)
		}
	}
	return err
}

func (a *applying) apply(ctx context.Context, p daytwo.Plan, c provision.Config) (restart bool, err error) {
	text, err := json.Marshal(c.Ignition)
	if err != nil {
		return false, err
	}
	places, err := json.Marshal(c.Places())
	if err != nil {
		return false, err
	}
	if a.try > 0 {
		if err := a.firstTimer(ctx); err != nil {
			return false, err
		}
	}
	restart, err = daytwo.Apply(ctx, a.target, p, daytwo.Config{JSON: text, Places: places}, a.try)
	if err != nil && a.try > 0 && !errors.Is(err, daytwo.ErrTrying) {
		a.stopTimer(ctx)
	}
	return restart, err
}

// compare makes the plan of a change.
func (a *applying) compare(ctx context.Context, config provision.Config) (daytwo.Plan, error) {
	applied, _, err := loadApplied(a.target)
	if err != nil {
		return daytwo.Plan{}, err
	}
	old, err := stateOf(ctx, a.target, applied)
	if err != nil {
		return daytwo.Plan{}, err
	}
	new, err := stateOf(ctx, a.target, config)
	if err != nil {
		return daytwo.Plan{}, err
	}
	facts, err := daytwo.Gather(ctx, a.target, old, new)
	if err != nil {
		return daytwo.Plan{}, err
	}
	return daytwo.Diff(old, new, facts), nil
}

// loadApplied reads the config that the machine was made from. A machine
// without one was made from none.
func loadApplied(t provision.Target) (provision.Config, bool, error) {
	data, err := t.Files.ReadFile(daytwo.ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return provision.Empty(daytwo.ConfigFile), false, nil
	}
	if err != nil {
		return provision.Config{}, false, err
	}
	var places provision.Places
	text, err := t.Files.ReadFile(daytwo.PlacesFile)
	if err == nil {
		err = json.Unmarshal(text, &places)
	}
	if err != nil {
		return provision.Config{}, false, fmt.Errorf("reading the places of the applied config: %w", err)
	}
	c, err := provision.Cached(data, places, true)
	return c, true, err
}

// stateOf plans for a machine that has none of the config's accounts yet.
func stateOf(ctx context.Context, t provision.Target, c provision.Config) (daytwo.State, error) {
	facts := provision.DefaultFacts()
	if err := facts.AddMemberships(ctx, c, t); err != nil {
		return daytwo.State{}, err
	}
	plan, err := c.Plan(facts)
	if err != nil {
		return daytwo.State{}, err
	}
	accounts := map[string]provision.Account{}
	for _, u := range c.Ignition.Passwd.Users {
		a, ok, err := t.User(ctx, u.Name)
		if err != nil {
			return daytwo.State{}, fmt.Errorf("looking up the user %s: %w", u.Name, err)
		}
		if ok {
			accounts[u.Name] = a
		}
	}
	return daytwo.StateOf(plan, accounts), nil
}

func (a *applying) show(p daytwo.Plan) error {
	if a.asJSON {
		return json.NewEncoder(a.out).Encode(p)
	}
	if p.Empty() && len(p.Kept) == 0 {
		_, err := fmt.Fprintln(a.out, "Nothing to change.")
		return err
	}
	var lines []placed
	for _, c := range append(p.Changes, p.Kept...) {
		lines = append(lines, placed{c.At.String(), c.String()})
	}
	return writePlaced(a.out, lines)
}

// placed is a line about a place.
type placed struct{ at, text string }

func writePlaced(w io.Writer, lines []placed) error {
	width := 0
	for _, l := range lines {
		width = max(width, len([]rune(l.at)))
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%-*s  %s\n", width, l.at, l.text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *applying) say(format string, args ...any) {
	fmt.Fprintf(a.out, "apply: "+format+"\n", args...)
}
