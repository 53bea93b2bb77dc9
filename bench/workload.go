package main

import (
	"fmt"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// workload is what both systems run after their first boot: the files and
// units of a Butane config, and one unit more that says when docker answers.
type workload struct {
	Files []workFile
	Units []workUnit
}

type workFile struct {
	Path     string `yaml:"path"`
	Mode     *int   `yaml:"mode"`
	Contents struct {
		Inline string `yaml:"inline"`
	} `yaml:"contents"`
}

type workUnit struct {
	Name     string `yaml:"name"`
	Enabled  bool   `yaml:"enabled"`
	Contents string `yaml:"contents"`
}

// dockerMark is the line on the console that says that docker answers.
const dockerMark = "bench: docker answers"

// dockerUnit asks docker as soon as its service is there.
var dockerUnit = workUnit{Name: "bench-docker.service", Enabled: true, Contents: `[Unit]
Description=Say on the console that docker answers
Requires=docker.service
After=docker.service

[Service]
Type=oneshot
ExecStart=/usr/bin/docker version
ExecStart=/bin/sh -c 'echo "` + dockerMark + `" > /dev/console'

[Install]
WantedBy=multi-user.target
`}

// parseWorkload reads the part of Butane that a workload may use; anything
// else in the config is an error, since the peer would not get it.
func parseWorkload(name string, text []byte) (workload, error) {
	var c struct {
		Variant string `yaml:"variant"`
		Version string `yaml:"version"`
		Storage struct {
			Files []workFile `yaml:"files"`
		} `yaml:"storage"`
		Systemd struct {
			Units []workUnit `yaml:"units"`
		} `yaml:"systemd"`
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return workload{}, fmt.Errorf("reading the workload %s: %w", name, err)
	}
	return workload{Files: c.Storage.Files, Units: append(c.Systemd.Units, dockerUnit)}, nil
}

// withDockerUnit is the Butane config with the unit added.
func withDockerUnit(name string, text []byte) ([]byte, error) {
	var c map[string]any
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("reading the workload %s: %w", name, err)
	}
	systemd, _ := c["systemd"].(map[string]any)
	if systemd == nil {
		systemd = map[string]any{}
		c["systemd"] = systemd
	}
	units, _ := systemd["units"].([]any)
	systemd["units"] = append(units, map[string]any{"name": dockerUnit.Name, "enabled": true, "contents": dockerUnit.Contents})
	return yaml.Marshal(c)
}

func loadWorkload(file string) (workload, []byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return workload{}, nil, fmt.Errorf("reading the workload: %w", err)
	}
	w, err := parseWorkload(file, text)
	if err != nil {
		return workload{}, nil, err
	}
	config, err := withDockerUnit(file, text)
	return w, config, err
}
