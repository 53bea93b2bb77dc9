//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"wellcar.dev/internal/update"
)

// played is a daemon that goes through states once it is asked to.
type played struct {
	before, after []update.Operation
	asked         int
	reason        string
	denied        error
}

func (p *played) Status(context.Context) (update.Status, error) {
	return update.Status{Operation: p.before[0]}, nil
}

func (p *played) Attempt(context.Context) error { p.asked++; return nil }

func (p *played) LastError(context.Context) (string, error) { return p.reason, p.denied }

func (p *played) Watch(_ context.Context, f func(update.Status) bool) error {
	for _, op := range p.before {
		if f(update.Status{Operation: op}) {
			return nil
		}
	}
	if p.asked == 0 {
		return errors.New("it waits for ever: nobody asked")
	}
	for _, op := range p.after {
		if f(update.Status{Operation: op}) {
			return nil
		}
	}
	return errors.New("it waits for ever")
}

// TestClientTellsFailures: who may not ask why still hears that it failed.
func TestClientTellsFailures(t *testing.T) {
	idle := []update.Operation{update.Idle}
	fails := []update.Operation{update.Checking, update.ReportingFailed, update.Idle}
	denied := errors.New("denied")
	for name, c := range map[string]struct {
		engine played
		want   string
		fail   bool
	}{
		"nothing, root":       {played{before: idle, after: []update.Operation{update.Checking, update.Idle}}, "No update available.", false},
		"nothing, core":       {played{before: idle, after: []update.Operation{update.Checking, update.Idle}, denied: denied}, "No update available.", false},
		"fails, root":         {played{before: idle, after: fails, reason: "the cable is cut"}, "the update failed: the cable is cut", true},
		"fails, core":         {played{before: idle, after: fails, denied: denied}, "only root can see why", true},
		"good":                {played{before: idle, after: []update.Operation{update.Checking, update.Downloading, update.NeedReboot}, denied: denied}, "Update succeeded", false},
		"end of an older one": {played{before: []update.Operation{update.Idle, update.Idle}, after: fails, denied: denied}, "only root can see why", true},
		"under way":           {played{before: []update.Operation{update.Downloading}, after: []update.Operation{update.ReportingFailed, update.Idle}, denied: denied}, "only root can see why", true},
	} {
		var out, errOut bytes.Buffer
		err := engineClient{&c.engine, &out, &errOut}.update(t.Context())
		text := errOut.String()
		if err != nil {
			text += err.Error()
		}
		if (err != nil) != c.fail || !strings.Contains(text, c.want) || !strings.Contains(out.String(), "CURRENT_OP="+string(c.engine.after[0])) {
			t.Errorf("%s: %s; %s", name, out.String(), text)
		}
	}
}
