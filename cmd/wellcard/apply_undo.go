//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"wellcar.dev/internal/provision/daytwo"
)

// undoUnit is the transient timer that undoes what nobody confirms.
const undoUnit = "wellcar-try"

func (a *applying) runUndo(ctx context.Context) error {
	j, err := daytwo.LoadJournal(a.target.Files)
	onlyTried := a.boot || a.expired
	if errors.Is(err, fs.ErrNotExist) || err == nil && onlyTried && j.Phase == daytwo.Applied {
		if onlyTried {
			return nil
		}
		return errors.New("there is nothing to undo")
	}
	if err != nil {
		return err
	}
	if a.boot && j.Phase == daytwo.Restarting {
		return a.resume(ctx, j)
	}
	if j.Kernel != nil && !onlyTried && !a.allow.Reboot {
		return fmt.Errorf("this changes the kernel arguments (%s), which needs a reboot; give --allow-reboot, and the machine restarts at once", j.Kernel.Summary().Name)
	}
	if err := a.keepLater(j); err != nil {
		return err
	}
	if a.boot && j.Kernel != nil {
		if err := a.awaitKernelLine(ctx); err != nil {
			return err
		}
	}
	restart, err := daytwo.Undo(ctx, a.target, j, !a.boot)
	if err != nil {
		return err
	}
	a.say("undone: %d paths are as they were", len(j.Saved))
	return a.afterUndo(ctx, restart)
}

// keepLater refuses to undo what was confirmed where people worked since.
func (a *applying) keepLater(j daytwo.Journal) error {
	if j.Phase != daytwo.Applied || a.allow.Force {
		return nil
	}
	later, err := daytwo.Later(a.target.Files, j)
	if err != nil {
		return fmt.Errorf("comparing the machine with what the change left: %w", err)
	}
	if len(later) > 0 {
		return fmt.Errorf("this would destroy what changed since: %s; give --force to undo it all the same", strings.Join(later, ", "))
	}
	return nil
}

// awaitKernelLine waits for the partition that udev finds during the boot.
func (a *applying) awaitKernelLine(ctx context.Context) error {
	if _, err := a.target.Run(ctx, "/usr/bin/udevadm", "wait", "--timeout=30", espNode); err != nil {
		return fmt.Errorf("waiting for the EFI system partition: %w", err)
	}
	a.target.Kernel = bootedLine()
	return nil
}

// afterUndo makes systemd follow what was undone.
func (a *applying) afterUndo(ctx context.Context, restart bool) error {
	if !a.boot && !a.expired {
		a.stopTimer(ctx)
	}
	if restart {
		return a.restart(ctx)
	}
	if a.boot {
		return a.systemctl(ctx, "start", "--no-block", "default.target")
	}
	return nil
}

// resume lets the time begin in which a change that needed this boot is to be
// confirmed. The boot waits for this, so the timer may not wait for the boot;
// systemd-run of version 257 waits for a timer even with --no-block.
func (a *applying) resume(ctx context.Context, j daytwo.Journal) error {
	try, err := daytwo.Resume(a.target.Files, j)
	if err == nil {
		err = a.startTimer(ctx, try, "--timer-property=DefaultDependencies=no")
	}
	if err != nil {
		return err
	}
	a.say("undone in %s unless confirmed: wellcard apply --confirm", try)
	return nil
}

func (a *applying) restart(ctx context.Context) error {
	a.say("restarting for the kernel arguments")
	return a.systemctl(ctx, "reboot", "--no-block")
}

func (a *applying) systemctl(ctx context.Context, args ...string) error {
	_, err := a.target.Run(ctx, "/usr/bin/systemctl", args...)
	return err
}

// firstTimer starts the timer of a change, in place of one that has ended.
func (a *applying) firstTimer(ctx context.Context) error {
	if j, err := daytwo.LoadJournal(a.target.Files); err == nil && j.Phase != daytwo.Applied {
		return daytwo.ErrTrying
	}
	a.stopTimer(ctx)
	return a.startTimer(ctx, a.try)
}

// startTimer sees to it that the change is undone even if this program, and
// the shell it runs in, are gone by then.
func (a *applying) startTimer(ctx context.Context, after time.Duration, flags ...string) error {
	args := append(flags, "--quiet", "--collect", "--unit="+undoUnit,
		fmt.Sprintf("--on-active=%dms", after.Milliseconds()), "--timer-property=AccuracySec=100ms",
		"/usr/bin/wellcard", "apply", "--undo", "--expired")
	if _, err := a.target.Run(ctx, "/usr/bin/systemd-run", args...); err != nil {
		return fmt.Errorf("starting the timer that undoes the change: %w", err)
	}
	return nil
}

func (a *applying) stopTimer(ctx context.Context) {
	_, _ = a.target.Run(ctx, "/usr/bin/systemctl", "stop", undoUnit+".timer") // it may have ended
}
