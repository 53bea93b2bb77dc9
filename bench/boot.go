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
		"--port", "8080", "--wait-http", ":8080/", "--timeout", "20m", "--exit-when-ready", "--json"}
	if key != "" {
		args = append(args, "--ssh-key", key)
	}
	return args
}

// measure boots a disk image once, without changing it, and adds its times.
func (b boots) measure(ctx context.Context, s *series, name, disk, key string) error {
	console := filepath.Join(b.dir, name+".console")
	cmd := exec.CommandContext(ctx, b.program, b.bootArgs(disk, key, console)...)
	cmd.Env = b.env
	_, out, err := run(ctx, cmd, filepath.Join(b.dir, name+".log"))
	if err != nil {
		return err
	}
	ready, accel, err := readyAfter(parseEvents(out))
	if err != nil {
		return err
	}
	if accel != "tcg" {
		return fmt.Errorf("the machine ran under %q, not under TCG", accel)
	}
	s.add(rowContainer, ready)
	return addLines(s, console)
}

// addLines adds the times that the console tells.
func addLines(s *series, console string) error {
	for row, line := range map[string]*regexp.Regexp{rowLogin: loginLine, rowDocker: dockerLine} {
		f, err := os.Open(console)
		if err != nil {
			return fmt.Errorf("reading the console: %w", err)
		}
		at, ok := lineTime(f, line)
		f.Close()
		if !ok {
			s.skipRow(row, fmt.Sprintf("no line of %s matches %q", console, line))
			continue
		}
		s.add(row, at)
	}
	return nil
}
