//go:build linux

package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/durable"
)

// Prefs are small values that survive a reboot: one file for each, as
// Flatcar's client has them.
type Prefs struct{ Dir string }

// PrefsDir and the other places of this package are below the root.
const (
	PrefsDir  = "var/lib/update_engine/prefs"
	BadFile   = "var/lib/wellcar/bad-versions.json"
	StateFile = "var/lib/wellcar/update.json"
)

// The names of values.
const (
	PrefPrevious     = "previous-version"
	PrefAleph        = "aleph-version"
	PrefFullResponse = "full-response"
	PrefMinimum      = "minimum-version" // highest of the releases installed
	PrefTime         = "newest-time"     // at which a release was believed
	PrefAttempt      = "payload-attempt-number"
	PrefBackoff      = "backoff-expiry-time"
	PrefSignature    = "current-response-signature"
)

// Get returns a value; ok is false if there is none.
func (p Prefs) Get(name string) (value string, ok bool) {
	data, err := os.ReadFile(filepath.Join(p.Dir, name))
	return string(data), err == nil
}

// Set keeps a value.
func (p Prefs) Set(name, value string) error {
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return fmt.Errorf("keeping %s: %w", name, err)
	}
	return durable.WriteFile(filepath.Join(p.Dir, name), []byte(value), 0o644)
}

// stateRoom is what the client may write to the root file system for one
// update, bytes: the answer of the server and some small files.
const stateRoom = 256 << 10

// room proves by writing that there is room for what an update leaves.
func (p Prefs) room() error {
	name := filepath.Join(p.Dir, "room")
	err := os.MkdirAll(p.Dir, 0o755)
	if err == nil {
		err = durable.WriteFile(name, make([]byte, stateRoom), 0o600)
	}
	if err != nil {
		return fmt.Errorf("checking the root file system: %d KiB cannot be written, delete something: %w", stateRoom>>10, err)
	}
	return os.Remove(name)
}

// Staged is an update that waits for a reboot or has just been booted.
type Staged struct {
	Version  string `json:"version,omitempty"`
	RootHash string `json:"rootHash,omitempty"`
	Previous string `json:"previous,omitempty"` // what ran when it was staged
	BootID   string `json:"bootID,omitempty"`   // of the boot that staged it
}

// Decision is what was last decided about a version, and why.
type Decision struct {
	Version string `json:"version"`
	Outcome string `json:"outcome"` // good, bad, held, pending
	Reason  string `json:"reason"`  // one sentence
	When    string `json:"when"`    // RFC 3339
}

// State is what this client keeps beside the prefs.
type State struct {
	Staged   Staged   `json:"staged"`
	Decision Decision `json:"decision"`
	Reported string   `json:"reported,omitempty"` // version whose way back was told to the server
}

// LoadState reads the state below a root; a missing file is the zero state.
func LoadState(root string) (s State, err error) { return s, load(root, StateFile, &s) }

// Save keeps the state.
func (s State) Save(root string) error { return save(root, StateFile, s) }

// LoadBad reads the versions that were given up.
func LoadBad(root string) (list []slot.Bad, err error) { return list, load(root, BadFile, &list) }

// SaveBad keeps them.
func SaveBad(root string, list []slot.Bad) error {
	if list == nil {
		list = []slot.Bad{}
	}
	return save(root, BadFile, list)
}

func load(root, name string, v any) error {
	data, err := os.ReadFile(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("reading /%s: %w", name, err)
	}
	return nil
}

func save(root, name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing /%s: %w", name, err)
	}
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing /%s: %w", name, err)
	}
	return durable.WriteFile(path, append(data, '\n'), 0o644)
}
