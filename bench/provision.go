package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// What the files stage is given, and how often each program is measured in
// one run: they take milliseconds.
const (
	stageFiles = 50
	stageUnits = 50
	shortRuns  = 9
)

// filesConfig is an Ignition config of files and enabled units.
func filesConfig() ([]byte, error) {
	var files, units []any
	for i := range stageFiles {
		files = append(files, map[string]any{"path": fmt.Sprintf("/etc/bench/%02d.conf", i), "mode": 0o644,
			"contents": map[string]string{"source": fmt.Sprintf("data:,number%%20%%3D%%20%d%%0A", i)}})
	}
	for i := range stageUnits {
		units = append(units, map[string]any{"name": fmt.Sprintf("bench-%02d.service", i), "enabled": true,
			"contents": fmt.Sprintf("[Service]\nExecStart=/usr/bin/sleep %d\n\n[Install]\nWantedBy=multi-user.target\n", i)})
	}
	return json.Marshal(map[string]any{"ignition": map[string]string{"version": "3.4.0"},
		"storage": map[string]any{"files": files}, "systemd": map[string]any{"units": units}})
}

// stages runs the applet ignition as programs made for Ignition do: a process
// for each stage. Everything lies in a folder of its own.
type stages struct {
	program string // wellcard
	dir     string
}

// newStages makes the folder in memory, so that the time of a disk does not
// count, and lays the config down there.
func newStages(program string) (stages, error) {
	if os.Geteuid() != 0 {
		return stages{}, errors.New("what the stages write belongs to root, and only root can give it (run the benchmarks with sudo)")
	}
	dir, err := os.MkdirTemp("/dev/shm", "wellcar-bench-")
	if err != nil {
		return stages{}, fmt.Errorf("making a folder in memory: %w", err)
	}
	config, err := filesConfig()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.ign"), config, 0o600)
	}
	return stages{program, dir}, err
}

func (g stages) path(name string) string { return filepath.Join(g.dir, name) }

// run carries a stage out in the root directory of this folder.
func (g stages) run(ctx context.Context, stage string) (usage, error) {
	cmd := exec.CommandContext(ctx, g.program, "ignition", "--stage", stage, "--platform", "file", "--root", g.path("root"),
		"--config-cache", g.path("cache"), "--state-file", g.path("state"), "--neednet", g.path("neednet"), "--log-to-stdout")
	cmd.Env = append(os.Environ(), "IGNITION_CONFIG_FILE="+g.path("config.ign"))
	u, _, err := run(ctx, cmd, g.path("log"))
	return u, err
}

// files measures the files stage in an empty root directory.
func (g stages) files(ctx context.Context) (usage, error) {
	if err := errors.Join(os.RemoveAll(g.path("root")), os.Mkdir(g.path("root"), 0o755)); err != nil {
		return usage{}, fmt.Errorf("emptying the root directory: %w", err)
	}
	return g.run(ctx, "files")
}

// measure adds the rows of the applet.
func (g stages) measure(ctx context.Context, s *series) error {
	if _, err := g.run(ctx, "fetch"); err != nil {
		return err
	}
	for range shortRuns {
		u, err := g.files(ctx)
		if err != nil {
			return err
		}
		s.add(rowFiles, u.wall.Seconds())
		s.add(rowFilesMemory, float64(u.memory))
		u, _, err = run(ctx, exec.CommandContext(ctx, g.program, "ignition", "--version"), g.path("log"))
		if err != nil {
			return err
		}
		s.add(rowApplet, u.wall.Seconds())
	}
	return nil
}

// provision measures the applet on this machine. It comes before all else:
// the kernel counts the memory of this program as that of a process that it
// starts, and this program grows.
func (s *session) provision(ctx context.Context) {
	s.peer.skipRows("mkosi does not provision", rowFiles, rowFilesMemory, rowApplet, rowProvision)
	s.say("wellcar: stages of the provisioning")
	g, err := newStages(filepath.Join(filepath.Dir(s.program), "wellcard"))
	if g.dir != "" {
		defer os.RemoveAll(g.dir)
	}
	if err == nil {
		err = g.measure(ctx, s.wellcar)
	}
	if err != nil {
		s.wellcar.skipRows(err.Error(), rowFiles, rowFilesMemory, rowApplet)
	}
}
