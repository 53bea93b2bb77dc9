package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// boots starts machines through the wellcar program, the same way for both
// systems: the same QEMU, firmware, devices and way of watching.
type boots struct {
	program string // bin/wellcar
	config  string // Butane file of the workload
	dir     string // for logs
	env     []string
}

// bootArgs are the words of `wellcar run`. key is a private key file that the
// image lets in, or "" for an image that takes one from its configuration.
func (b boots) bootArgs(disk, key, log string) []string {
	args := []string{"run", b.config, "--image", disk, "--log", log, "--accel", "tcg", "--cpus", "2", "--memory", "2048",
		"--port", "8080", "--wait-http", ":8080/", "--timeout", "8m", "--exit-when-ready", "--json"}
	if key != "" {
		args = append(args, "--ssh-key", key)
	}
	return args
}

// measure boots a disk image once, without changing it, and adds its times. A
// machine whose container does not answer still has a login.
func (b boots) measure(ctx context.Context, s *series, name, disk, key string) {
	console := filepath.Join(b.dir, name+".console")
	ready, events, err := b.boot(ctx, name, disk, key, console)
	if err != nil {
		s.skipRow(rowContainer, err.Error())
	} else {
		s.add(rowContainer, ready)
	}
	if share, ok := provisioning(events); ok {
		s.add(rowProvision, share)
	}
	for row, line := range map[string]*regexp.Regexp{rowLogin: loginLine, rowDocker: dockerLine} {
		if at, err := consoleTime(console, line); err != nil {
			s.skipRow(row, err.Error())
		} else {
			s.add(row, at)
		}
	}
}

// boot returns the seconds from power-on until the container answered, and
// what the program told on the way.
func (b boots) boot(ctx context.Context, name, disk, key, console string) (float64, []event, error) {
	if err := os.RemoveAll(console); err != nil {
		return 0, nil, err
	}
	cmd := exec.CommandContext(ctx, b.program, b.bootArgs(disk, key, console)...)
	cmd.Env = b.env
	_, out, err := run(ctx, cmd, filepath.Join(b.dir, name+".log"))
	events := parseEvents(out)
	ready, accel, said := readyAfter(events)
	switch {
	case said != nil && ctx.Err() == nil && len(out) > 0:
		return 0, events, said
	case err != nil:
		return 0, events, err
	case accel != "tcg":
		return 0, nil, fmt.Errorf("the machine ran under %q, not under TCG", accel)
	}
	return ready, events, said
}

func consoleTime(console string, line *regexp.Regexp) (float64, error) {
	f, err := os.Open(console)
	if err != nil {
		return 0, fmt.Errorf("reading the console: %w", err)
	}
	defer f.Close()
	at, ok := lineTime(f, line)
	if !ok {
		return 0, fmt.Errorf("no line of %s matches %q", console, line)
	}
	return at, nil
}
