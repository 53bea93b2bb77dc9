//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"wellcar.dev/internal/update"
)

// engine is the daemon as the bus shows it.
type engine interface {
	Status(context.Context) (update.Status, error)
	Attempt(context.Context) error
	LastError(context.Context) (string, error)
	Watch(context.Context, func(update.Status) (done bool)) error
}

type engineClient struct {
	r           engine
	out, errOut io.Writer
}

func (c engineClient) note(text string) { fmt.Fprintln(c.errOut, text) }

func (c engineClient) status(ctx context.Context) error {
	s, err := c.r.Status(ctx)
	if err != nil {
		return fmt.Errorf("asking for the status: %w", err)
	}
	_, err = io.WriteString(c.out, s.Text())
	return err
}

// update starts an update and prints the status at each turn.
func (c engineClient) update(ctx context.Context) error {
	c.note("Initiating update check and install.")
	if s, err := c.r.Status(ctx); err != nil || s.Operation == update.NeedReboot {
		if err == nil {
			c.note("Update succeeded -- reboot needed.")
		}
		return err
	}
	last, failed, err := c.follow(ctx)
	switch {
	case err != nil:
		return err
	case last == update.NeedReboot:
		c.note("Update succeeded -- reboot needed.")
		return nil
	}
	reason, err := c.r.LastError(ctx)
	switch {
	case err == nil && reason != "":
		return fmt.Errorf("the update failed: %s", reason)
	case err != nil && failed: // the bus lets root ask, not core
		return errors.New("the update failed; only root can see why: sudo update_engine_client -update, or sudo journalctl --unit update-engine")
	}
	c.note("No update available.")
	return nil
}

// follow starts an attempt and prints what comes until its end. The attempt is
// made once all its signals are sure to be heard.
func (c engineClient) follow(ctx context.Context) (last update.Operation, failed bool, err error) {
	asked, busy := false, false
	var fault error
	watched := c.r.Watch(ctx, func(s update.Status) bool {
		busy = busy || s.Operation != update.Idle
		if !asked {
			asked = true
			if fault = c.r.Attempt(ctx); fault != nil {
				return true
			}
		}
		if busy && s.Operation != last {
			fmt.Fprint(c.out, s.Text())
			last = s.Operation
		}
		failed = failed || s.Operation == update.ReportingFailed
		return busy && (s.Operation == update.Idle || s.Operation == update.NeedReboot)
	})
	if fault != nil {
		return last, failed, fmt.Errorf("starting the update: %w", fault)
	}
	return last, failed, watched
}
