package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"wellcar.dev/internal/qemu"
)

// statusPace is the pause between two looks at a machine that makes up its mind.
const statusPace = time.Second

// askTime is how long one look may take: a machine that goes down does not answer.
const askTime = 20 * time.Second

// standing is what a machine says of itself (wellcard status --json).
type standing struct {
	boot    string // identity of the boot
	Version string `json:"version"`
	Slot    string `json:"slot"`
	Slots   map[string]struct {
		State string `json:"state"`
	} `json:"slots"`
	GivenUp []struct {
		Version string `json:"version"`
		Reason  string `json:"reason"`
	} `json:"givenUp"`
}

// good says whether the running version has proved itself.
func (s standing) good() bool { return s.Slots[s.Slot].State == "good" }

// undone is why a version was given up; "" if it was not.
func (s standing) undone(version string) string {
	for _, bad := range s.GivenUp {
		if bad.Version == version {
			return bad.Reason
		}
	}
	return ""
}

// decided says whether a machine that was in the boot before has come to a
// decision about a version.
func (s standing) decided(before, version string) bool {
	if s.boot == before || !s.good() {
		return false
	}
	return s.Version == version || s.undone(version) != ""
}

func askStanding(ctx context.Context, client *qemu.Client) (s standing, err error) {
	got, err := client.Ask(ctx, askTime, "cat /proc/sys/kernel/random/boot_id; sudo wellcard status --json")
	if err != nil {
		return s, err
	}
	if got.Code != 0 {
		return s, fmt.Errorf("asking the machine for its updates: %s", bytes.TrimSpace(got.Stderr))
	}
	boot, text, _ := strings.Cut(string(got.Stdout), "\n")
	s.boot = boot
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("asking the machine for its updates: %w", err)
	}
	return s, nil
}

// await asks until a condition holds; an error is that of the connection.
func await(ctx context.Context, client *qemu.Client, holds func(standing) bool) (standing, error) {
	tick := time.NewTicker(statusPace)
	defer tick.Stop()
	for {
		s, err := askStanding(ctx, client)
		if err != nil || holds(s) {
			return s, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
}

// follow takes a ready machine over the update and returns a connection to what
// came of it.
func (g *guest) follow(ctx context.Context, a *app, o *runOptions, u *rollout, client *qemu.Client) (*qemu.Client, error) {
	began := time.Now()
	before, err := await(ctx, client, standing.good)
	if err != nil {
		return client, fmt.Errorf("waiting until %s has proved itself: %w", u.from, err)
	}
	a.show.note("updating %s to %s", u.from, u.to)
	if err := install(ctx, client); err != nil {
		return client, err
	}
	a.show.note("starting %s", u.to)
	next, after, err := g.settle(ctx, client, before.boot, u.to)
	if err != nil {
		return client, g.diagnose(err)
	}
	client.Close()
	if reason := after.undone(u.to); reason != "" {
		return next, withCode(exitDiffers, fmt.Errorf("the update from %s to %s was undone: %s", u.from, u.to, reason))
	}
	if err := g.answers(ctx, o, u); err != nil {
		return next, err
	}
	a.show.result("updated", map[string]any{"from": u.from, "to": u.to, "slot": after.Slot, "seconds": time.Since(began).Seconds()},
		fmt.Sprintf("%s runs in slot %s and is good; the way from %s took %s", u.to, after.Slot, u.from, seconds(time.Since(began))))
	return next, nil
}

// answers asks the application once more.
func (g *guest) answers(ctx context.Context, o *runOptions, u *rollout) error {
	url, err := g.url(o)
	if err != nil || url == "" {
		return err
	}
	if err := waitHTTP(ctx, url); err != nil {
		return withCode(exitDiffers, fmt.Errorf("%s runs, but the application does not answer: %w; with a health check the machine goes back by itself", u.to, err))
	}
	return nil
}

// install lets the machine fetch and write what its server offers.
func install(ctx context.Context, client *qemu.Client) error {
	got, err := client.Run(ctx, "sudo update_engine_client -update 2>&1")
	switch {
	case err != nil:
		return fmt.Errorf("updating: %w", err)
	case got.Code != 0:
		lines := strings.Split(strings.TrimSpace(string(got.Stdout)), "\n")
		return withCode(exitDiffers, errors.New(lines[len(lines)-1]))
	}
	return nil
}

// settle starts the machine anew and waits for its decision about a version.
func (g *guest) settle(ctx context.Context, client *qemu.Client, before, version string) (*qemu.Client, standing, error) {
	mark := g.vm.Serial.Mark()
	go client.Run(ctx, "sudo systemctl reboot") // cut off by what it does
	for {
		next, err := g.vm.SSH(ctx, "core", g.key, mark)
		if err != nil {
			return nil, standing{}, fmt.Errorf("waiting for the decision about %s: %w", version, err)
		}
		s, err := await(ctx, next, func(s standing) bool { return s.decided(before, version) })
		if err == nil {
			return next, s, nil
		}
		next.Close()
		mark = g.vm.Serial.Mark()
	}
}
