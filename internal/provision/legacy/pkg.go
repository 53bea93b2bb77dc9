// Package legacy turns Ignition configs of spec 1 and of spec 2.0.0 to 2.4.0
// into spec 3.1.0, and keeps where each element came from.
//
// The outcome is that of the Ignition of Flatcar, which converts such configs
// before anything else: network units become files below
// /etc/systemd/network, a file system that is known by a name is mounted at
// /oem or at /tmp/NAME-ignN, mount.create means a wipe, entries of one unit
// are merged. Beyond it, users, groups and files that are given twice are
// merged in their order, sizes in sectors of 512 bytes become MiB, and file
// systems that are mounted already (path) are understood.
//
// The specification is config/v2_4 of github.com/flatcar/ignition and the
// versions before it. Keys that are younger than a config's version are
// ignored with a warning, as its own program would have done.
//
//	result, err := legacy.Convert(data)
package legacy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	spec1 "github.com/flatcar/ignition/config/v1/types"
	spec2 "github.com/flatcar/ignition/config/v2_4/types"
)

// Note is something to tell about a config.
type Note struct {
	Error   bool // the config cannot be used; else a warning
	Path    []any
	Key     bool   // it is about the name of the field, not its value
	Message string // one clause: the object and what is wrong with it
	Remedy  string // what to do, as an order
}

// Result is a converted config.
type Result struct {
	JSON []byte // spec 3.1.0; nil if a note is an error

	// Origin leads from an element of JSON, written as storage.files[0].mode,
	// to that of the text it was made of. Elements below one that is named
	// have the same names below its origin.
	Origin map[string][]any
	Notes  []Note
}

// Version is the spec version of a config as its text gives it: 1 for spec
// 1, else as 2.3.0. It is empty if data is no config that Convert takes.
func Version(data []byte) string {
	var top struct {
		Old      json.RawMessage `json:"ignitionVersion"`
		Ignition struct {
			Version string `json:"version"`
		} `json:"ignition"`
	}
	if json.Unmarshal(data, &top) != nil {
		return ""
	}
	switch v := top.Ignition.Version; {
	case v == "" && string(top.Old) == "1":
		return "1"
	case v == "2.0.0", v == "2.1.0", v == "2.2.0", v == "2.3.0", v == "2.4.0":
		return v
	}
	return ""
}

// Probe is a value of the type that a config of a version is read into, to
// find values of a wrong type.
func Probe(version string) any {
	if version == "1" {
		return &spec1.Config{}
	}
	return &spec2.Config{}
}

// Convert converts a config whose Version is not empty and that can be read
// into its Probe. The error is about the JSON as such.
func Convert(data []byte) (Result, error) {
	version := Version(data)
	c := &converter{minor: minor(version), origin: map[string][]any{}}
	tree, err := decode(data)
	if err != nil {
		return Result{}, fmt.Errorf("reading the config: %w", err)
	}
	c.checkKeys(tree, Probe(version))
	known, err := json.Marshal(tree)
	if err != nil {
		return Result{}, fmt.Errorf("reading the config: %w", err)
	}
	if c.minor < 0 {
		err = c.readSpec1(known)
	} else {
		err = json.Unmarshal(known, &c.in)
	}
	if err != nil {
		return Result{}, fmt.Errorf("reading the config: %w", err)
	}
	return c.result()
}

func (c *converter) result() (Result, error) {
	c.convert()
	r := Result{Origin: c.origin, Notes: c.notes}
	for _, n := range c.notes {
		if n.Error {
			return r, nil
		}
	}
	var err error
	if r.JSON, err = encode(c.out); err != nil {
		return Result{}, fmt.Errorf("writing the converted config: %w", err)
	}
	return r, nil
}

// minor is 0 to 4 for spec 2.0.0 to 2.4.0 and -1 for spec 1.
func minor(version string) int {
	_, rest, found := strings.Cut(version, ".")
	digits, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(digits)
	if !found || err != nil {
		return -1
	}
	return n
}
