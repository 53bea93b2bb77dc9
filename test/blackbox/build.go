//go:build linux

package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// shims stand for programs of the machine, so that the suite needs no udev,
// no sudo and no partition tables read by the kernel.
//
//go:embed shims
var shims embed.FS

// build makes the suite, its stand-ins for useradd and company, our programs
// and the shims.
func build(ctx context.Context, checkout, dir string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := goBuild(ctx, checkout, "1", "test", "-c", "-o", filepath.Join(dir, "suite"), "./tests"); err != nil {
		return err
	}
	stubs, err := filepath.Glob(filepath.Join(checkout, "tests", "stubs", "*"))
	if err != nil {
		return err
	}
	for _, stub := range stubs {
		name := filepath.Base(stub)
		out := filepath.Join(bin, strings.TrimSuffix(name, "-stub"))
		if err := goBuild(ctx, checkout, "0", "build", "-o", out, "./tests/stubs/"+name); err != nil {
			return err
		}
	}
	if err := goBuild(ctx, ".", "0", "build", "-o", filepath.Join(bin, "ignition"), "./cmd/wellcard"); err != nil {
		return err
	}
	return writeShims(bin)
}

func goBuild(ctx context.Context, dir, cgo string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, out)
	}
	return nil
}

func writeShims(bin string) error {
	entries, err := shims.ReadDir("shims")
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := shims.ReadFile("shims/" + e.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(bin, e.Name()), text, 0o755); err != nil {
			return err
		}
	}
	return nil
}
