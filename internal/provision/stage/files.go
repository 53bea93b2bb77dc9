package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/durable"
)

// Files are where a session keeps what the next one needs. Empty names keep
// it in memory only.
type Files struct {
	Cache   string // the user's config, complete
	State   string // what else stages leave to each other
	NeedNet string // exists if the network is needed
	Restart string // exists if the machine must restart before the stages after kargs
}

// DefaultFiles are the names that users of Ignition know.
var DefaultFiles = Files{Cache: "/run/ignition.json", State: "/run/ignition/state", NeedNet: "/run/ignition/neednet", Restart: "/run/ignition/restart"}

// ErrState is a state file that cannot be read.
var ErrState = errors.New("the state of earlier stages is unreadable")

func (f Files) loadState() (provision.State, error) {
	var state provision.State
	if f.State == "" {
		return state, nil
	}
	data, err := os.ReadFile(f.State)
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &state)
	}
	if err != nil {
		return state, fmt.Errorf("%w: reading %s: %w", ErrState, f.State, err)
	}
	return state, nil
}

func (f Files) saveState(state *provision.State) error {
	if f.State == "" {
		return nil
	}
	data, err := json.Marshal(state)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(f.State), 0o700)
	}
	if err == nil {
		err = durable.WriteFile(f.State, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("keeping the state for later stages: %w", err)
	}
	return nil
}

// loadCache reads the user's config. Without a cache the error is
// fs.ErrNotExist.
func (f Files) loadCache(state provision.State) (provision.Config, error) {
	data, err := os.ReadFile(f.Cache)
	if err != nil {
		return provision.Config{}, fmt.Errorf("reading the config that the fetch stage keeps: %w", err)
	}
	return provision.Cached(data, state.Places, state.UserProvided())
}

func (f Files) saveCache(c provision.Config) error {
	if f.Cache == "" {
		return nil
	}
	data, err := json.Marshal(c.Ignition)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(f.Cache), 0o755)
	}
	if err == nil {
		err = durable.WriteFile(f.Cache, data, 0o640)
	}
	if err != nil {
		return fmt.Errorf("keeping the config for later stages: %w", err)
	}
	return nil
}

// flagNetwork leaves the file that asks for a network.
func (f Files) flagNetwork() error {
	if err := flag(f.NeedNet); err != nil {
		return fmt.Errorf("asking for a network: %w", err)
	}
	return nil
}

// flagRestart leaves the file that asks for a restart.
func (f Files) flagRestart() error {
	if err := flag(f.Restart); err != nil {
		return fmt.Errorf("asking for a restart: %w", err)
	}
	return nil
}

// flag makes an empty file, if there is a name for it.
func flag(name string) error {
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, nil, 0o644)
}
