// Package platform finds the configs of a machine: one file for each source.
// Base and user configs of the OEM partition come before the platform's.
//
// The ids and their protocols are those of coreos/ignition; most clouds answer
// at http://169.254.169.254, others with a drive or a channel of the
// hypervisor. Each source uses only what it is handed in Env, so that tests
// hand it a folder, a server or a table. None guesses the platform, and each
// keeps asking until it knows whether there is a config.
package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Env is the part of a machine that sources read.
type Env struct {
	Cloud

	Sys    fs.FS  // /sys
	OEM    fs.FS  // the OEM partition; nil: there is none
	Config string // file named by the user ($IGNITION_CONFIG_FILE), for the source file
	// Offline forbids a network: a source that needs one says
	// provision.ErrNeedsNetwork.
	Offline bool
	// ReadFile reads a file of the machine, for the source file.
	ReadFile func(name string) ([]byte, error)
}

// Found is a config as a source has it.
type Found struct {
	Name   string // where it was found, for people
	Data   []byte // nil: the source has none
	Source []byte // encoded text that Data was made of; nil: unknown
	// Output are files that the platform has besides, by their path on the
	// machine. The files stage writes them with mode 0600, whether there is a
	// config or not.
	Output map[string][]byte
}

// Source gets the user's config, or learns that there is none. The ones that
// ask a network keep trying until the context ends.
type Source interface {
	Fetch(ctx context.Context, env Env) (Found, error)
}

// IDs are the platforms that are known, sorted.
func IDs() []string {
	var ids []string
	for id := range sources {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Base gets the config that lies below the user's: that of the OEM partition.
func Base(env Env) (Found, error) { return oem(env, "base/base.ign") }

// User gets the user's config, which is that of the OEM partition if there is
// one, else the platform's.
func User(ctx context.Context, id string, env Env) (Found, error) {
	src, ok := sources[id]
	if !ok {
		return Found{}, fmt.Errorf("platform %q is not supported yet; known are %s", id, strings.Join(IDs(), ", "))
	}
	found, err := oem(env, "config.ign")
	if err != nil || found.Data != nil {
		return found, err
	}
	if found, err = src.Fetch(ctx, env); err != nil {
		return found, fmt.Errorf("asking platform %s for the config: %w", id, err)
	}
	return found, nil
}

// readIf reads a file that may be missing.
func readIf(fsys fs.FS, name string) ([]byte, error) {
	data, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
