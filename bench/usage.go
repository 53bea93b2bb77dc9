package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// usage is what a command cost.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // resident bytes of the largest process of the tree
}

// run runs a command to its end, with all its output in a log file, and
// returns its cost and its standard output. Children that the command waited
// for count.
func run(ctx context.Context, cmd *exec.Cmd, log string) (usage, []byte, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return usage{}, nil, err
	}
	f, err := os.Create(log)
	if err != nil {
		return usage{}, nil, err
	}
	defer f.Close()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(f, &out), f
	began := time.Now()
	err = cmd.Run()
	u := usage{wall: time.Since(began)}
	if err != nil {
		return u, out.Bytes(), fmt.Errorf("running %s: %w; the end of %s:\n%s", filepath.Base(cmd.Path), errors.Join(err, context.Cause(ctx)), log, tail(log, 5))
	}
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		u.memory = residentBytes(int64(r.Maxrss))
	}
	return u, out.Bytes(), nil
}

// residentBytes turns ru_maxrss, which macOS counts in bytes and Linux in
// kilobytes, into bytes.
func residentBytes(maxrss int64) int64 {
	if runtime.GOOS == "darwin" {
		return maxrss
	}
	return maxrss * 1024
}

func tail(file string, lines int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}

// storedBytes is what a file takes on the disk; holes take nothing.
func storedBytes(file string) (int64, error) {
	var s syscall.Stat_t
	if err := syscall.Stat(file, &s); err != nil {
		return 0, fmt.Errorf("measuring %s: %w", file, err)
	}
	return int64(s.Blocks) * 512, nil
}
