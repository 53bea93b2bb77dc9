//go:build linux

package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"wellcar.dev/internal/sys/command"
)

// shipped is where the units of the image are.
const shipped = "/usr/lib/systemd/"

// Default is the check where none is declared.
func Default() []Check {
	return []Check{{Name: "the base system", Interval: Duration(2 * time.Second), Timeout: Duration(30 * time.Second), deadline: DefaultDeadline, base: true}}
}

// base is the default: the boot has come to its end and no unit of the image
// has failed. Late, a boot that waits for nothing but units of the owner has
// come far enough.
func base(ctx context.Context, run command.Runner, late bool) error {
	err := units(ctx, run, []string{"multi-user.target"})
	if err != nil && late {
		err = onlyOthers(ctx, run, err)
	}
	if err != nil {
		return err
	}
	failed, err := show(ctx, run, "--state=failed", "*")
	if err != nil {
		return err
	}
	if names := ofImage(failed); len(names) > 0 {
		return errors.New("failed units: " + strings.Join(names, ", "))
	}
	return nil
}

// onlyOthers returns nil if what the boot waits for is at work, and nothing of
// the image is. Jobs that wait for others say nothing by themselves.
func onlyOthers(ctx context.Context, run command.Runner, unfinished error) error {
	r, err := run(ctx, command.Cmd{Path: "systemctl", Args: []string{"list-jobs", "--plain", "--no-legend"}})
	if err != nil {
		return err
	}
	var working []string
	for line := range strings.Lines(string(r.Stdout)) {
		if words := strings.Fields(line); len(words) == 4 && words[3] == "running" {
			working = append(working, words[1])
		}
	}
	if len(working) == 0 {
		return unfinished
	}
	all, err := show(ctx, run, append([]string{"--"}, working...)...)
	if err != nil {
		return err
	}
	if names := ofImage(all); len(names) > 0 {
		return fmt.Errorf("%w; at work: %s", unfinished, strings.Join(names, ", "))
	}
	return nil
}

func show(ctx context.Context, run command.Runner, what ...string) ([]map[string]string, error) {
	r, err := run(ctx, command.Cmd{Path: "systemctl", Args: append([]string{"show", "--property=Id,FragmentPath"}, what...)})
	if err != nil {
		return nil, err
	}
	return properties(string(r.Stdout)), nil
}

func ofImage(units []map[string]string) (names []string) {
	for _, u := range units {
		if strings.HasPrefix(u["FragmentPath"], shipped) {
			names = append(names, u["Id"])
		}
	}
	return names
}
