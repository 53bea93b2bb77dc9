//go:build linux

package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"wellcar.dev/internal/sys/command"
)

func TestRebootNow(t *testing.T) {
	for name, c := range map[string]struct {
		force, works bool
		want         string
		fails        bool
	}{
		"asked":           {false, true, "reboot", false},
		"refused":         {false, false, "reboot", true},
		"forced":          {true, true, "reboot --force", false},
		"systemd is gone": {true, false, "reboot --force, reboot --force --force", true},
	} {
		var did []string
		run := func(ctx context.Context, cmd command.Cmd) (command.Result, error) {
			did = append(did, strings.Join(cmd.Args, " "))
			if _, limited := ctx.Deadline(); !limited {
				t.Error("there is no limit")
			}
			if !c.works {
				return command.Result{}, errors.New("no answer")
			}
			return command.Result{}, nil
		}
		err := rebootNow(t.Context(), run, c.force)
		if got := strings.Join(did, ", "); got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
