//go:build linux

package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"

	"wellcar.dev/internal/sys/command"
)

// Probe is the Prober of a machine.
func Probe(run command.Runner) Prober {
	return func(ctx context.Context, c Check) error {
		switch {
		case len(c.Units) > 0:
			return units(ctx, run, c.Units)
		case c.TCP != "":
			return tcp(ctx, c.TCP)
		case c.HTTP != nil:
			return get(ctx, *c.HTTP)
		case len(c.Command) > 0:
			return program(ctx, run, c.Command)
		case c.Container != "":
			return container(ctx, run, c.Container)
		}
		return base(ctx, run, c.late)
	}
}

// units asks systemd; a oneshot that has run and ended well counts as active.
// One that has not run yet, or was skipped by a condition, has the same state
// and result, but no time of an end.
func units(ctx context.Context, run command.Runner, names []string) error {
	r, err := run(ctx, command.Cmd{Path: "systemctl", Args: append([]string{"show", "--property=Id,ActiveState,Result,Type,ExecMainExitTimestampMonotonic", "--"}, names...)})
	if err != nil {
		return err
	}
	for _, u := range properties(string(r.Stdout)) {
		state := u["ActiveState"]
		oneshot := u["Type"] == "oneshot" && state == "inactive" && u["Result"] == "success"
		end := u["ExecMainExitTimestampMonotonic"]
		ran := end != "" && end != "0"
		switch {
		case state == "active", oneshot && ran:
		case oneshot:
			return fmt.Errorf("unit %s has not run", u["Id"])
		default:
			return fmt.Errorf("unit %s is %s", u["Id"], state)
		}
	}
	return nil
}

// properties reads the blocks of systemctl show.
func properties(text string) (units []map[string]string) {
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		u := map[string]string{}
		for line := range strings.SplitSeq(block, "\n") {
			if key, value, ok := strings.Cut(line, "="); ok {
				u[key] = value
			}
		}
		if len(u) > 0 {
			units = append(units, u)
		}
	}
	return units
}

func tcp(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// maxBody is how much of an answer is looked at, bytes.
const maxBody = 1 << 20

func get(ctx context.Context, h HTTP) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: this is about the machine
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if h.Status != 0 && resp.StatusCode != h.Status || h.Status == 0 && resp.StatusCode/100 != 2 {
		return fmt.Errorf("HTTP status %s", resp.Status)
	}
	if h.Body == "" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return err
	}
	want, err := regexp.Compile(h.Body)
	if err == nil && !want.Match(body) {
		err = fmt.Errorf("the body does not match %q", h.Body)
	}
	return err
}

func program(ctx context.Context, run command.Runner, words []string) error {
	_, err := run(ctx, command.Cmd{Path: words[0], Args: words[1:]})
	return err
}

func container(ctx context.Context, run command.Runner, name string) error {
	r, err := run(ctx, command.Cmd{Path: "docker", Args: []string{"inspect", "--format", "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}", "--", name}})
	if err != nil {
		return err
	}
	state := strings.TrimSpace(string(r.Stdout))
	if state != "running" && state != "running healthy" {
		return fmt.Errorf("container %s is %s", name, state)
	}
	return nil
}
