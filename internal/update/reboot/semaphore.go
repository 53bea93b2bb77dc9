//go:build linux

package reboot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sort"
)

// Semaphore lets at most Max machines reboot at once.
type Semaphore struct {
	Free    int      `json:"semaphore"`
	Max     int      `json:"max"`
	Holders []string `json:"holders"`
}

// keyPrefix is where locksmith keeps semaphores in etcd.
const keyPrefix = "coreos.com/updateengine/rebootlock/"

// Key is the key of a group's semaphore; "" is the group of those without.
func Key(group string) string {
	if group == "" {
		return keyPrefix + "semaphore"
	}
	return keyPrefix + "groups/" + url.QueryEscape(group) + "/semaphore"
}

// NewSemaphore is what is put where there is none.
func NewSemaphore() Semaphore { return Semaphore{Free: 1, Max: 1} }

// Reasons that a semaphore refuses.
var (
	ErrTaken   = errors.New("the reboot lock is taken: no slot is free")
	ErrHeld    = errors.New("it holds the reboot lock already")
	ErrNotHeld = errors.New("it does not hold the reboot lock")
)

// ParseSemaphore reads the value of a key.
func ParseSemaphore(data []byte) (s Semaphore, err error) {
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("reading the reboot lock: %w", err)
	}
	sort.Strings(s.Holders)
	return s, nil
}

// Marshal writes the value of a key.
func (s Semaphore) Marshal() []byte {
	data, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return data
}

// Lock takes a slot for a machine.
func (s Semaphore) Lock(id string) (Semaphore, error) {
	switch {
	case slices.Contains(s.Holders, id):
		return s, fmt.Errorf("%s: %w", id, ErrHeld)
	case s.Free <= 0:
		return s, ErrTaken
	}
	s.Free--
	s.Holders = append(slices.Clone(s.Holders), id)
	sort.Strings(s.Holders)
	return s, nil
}

// Unlock gives the slot of a machine back.
func (s Semaphore) Unlock(id string) (Semaphore, error) {
	i := slices.Index(s.Holders, id)
	if i < 0 {
		return s, fmt.Errorf("%s: %w", id, ErrNotHeld)
	}
	s.Free++
	s.Holders = slices.Delete(slices.Clone(s.Holders), i, i+1)
	return s, nil
}

// SetMax changes how many slots there are; the free ones change by as many,
// and may become negative.
func (s Semaphore) SetMax(n int) Semaphore {
	s.Free += n - s.Max
	s.Max = n
	return s
}

// Text is what locksmithctl status prints.
func (s Semaphore) Text() string {
	text := fmt.Sprintf("Available: %d\nMax: %d\n", s.Free, s.Max)
	if len(s.Holders) > 0 {
		text += "\nMACHINE ID\n"
		for _, h := range s.Holders {
			text += h + "\n"
		}
	}
	return text
}
