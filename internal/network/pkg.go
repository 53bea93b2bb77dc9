//go:build linux

// Package network brings the network up before the system starts, for as long
// as a first boot needs it, and takes it down again without a trace, so that
// the system begins with interfaces as the kernel made them.
//
// Without ip= on the kernel command line each interface of hardware gets
// addresses by DHCP, DHCPv6 and router advertisements, all at once, and one
// that has one is enough. With it each interface that is named must succeed.
// Interfaces may be named as the kernel names them or as the system will.
//
// What has no answer when the network is usable goes on asking until Stop, and
// is added behind what there is: its routes count less, its servers of names
// come later. So is a card that appears meanwhile.
package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"wellcar.dev/internal/format/netconf"
	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/durable"
)

// Options say what to bring up, and with what.
type Options struct {
	Config netconf.Config
	Limit  time.Duration  // until the network is usable
	Run    command.Runner // runs modprobe and udevadm
	// Modules is the directory with lib/modules of the drivers; empty: none
	// are loaded.
	Modules string
	// Virtual takes interfaces without hardware for ones with it.
	Virtual bool
	Resolv  string // path of resolv.conf
	Leases  string // folder for what DHCP servers said, by index of the interface
	Logf    func(format string, args ...any)
	// Changed hears of each change after Up, one at a time. May be nil.
	Changed func(State)
}

// Limit is how long Up may take, unless somebody says otherwise.
const Limit = 2 * time.Minute

// StateFile is where Up leaves what Down needs.
const StateFile = "/run/wellcar/network.json"

// State is what was changed.
type State struct {
	Up    []string `json:"up,omitempty"`    // interfaces that were brought up
	Was   []Card   `json:"was,omitempty"`   // those of them whose properties were changed, as they were
	Made  []string `json:"made,omitempty"`  // virtual interfaces, in the order of making
	Files []string `json:"files,omitempty"` // that were written
}

// Card is what an interface had that this package may change.
type Card struct {
	Name string `json:"name"`
	MAC  string `json:"mac"`
	MTU  int    `json:"mtu"` // bytes
}

func (s State) clone() State {
	return State{slices.Clone(s.Up), slices.Clone(s.Was), slices.Clone(s.Made), slices.Clone(s.Files)}
}

// Save writes the state.
func (s State) Save(name string) error {
	data, err := json.Marshal(s)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err == nil {
		err = durable.WriteFile(name, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("noting what was done to the network: %w", err)
	}
	return nil
}

// LoadState reads what Save wrote. No file is no change.
func LoadState(name string) (State, error) {
	var s State
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("reading what was done to the network: %w", err)
	}
	return s, nil
}

// leaseFile is where a lease is kept, as systemd-networkd does.
func leaseFile(dir string, index int) string { return filepath.Join(dir, strconv.Itoa(index)) }

// resolvConf is the text of resolv.conf(5). The resolver heeds three servers,
// so the first of each list come before the second ones.
func resolvConf(servers [][]string, search []string) string {
	var b strings.Builder
	for _, s := range unique(inTurn(servers)) {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(search) > 0 {
		b.WriteString("search " + strings.Join(unique(search), " ") + "\n")
	}
	return b.String()
}

// inTurn takes the first of each list, then the second, and so on.
func inTurn(lists [][]string) []string {
	var out []string
	for i, more := 0, true; more; i++ {
		more = false
		for _, l := range lists {
			if i < len(l) {
				out, more = append(out, l[i]), true
			}
		}
	}
	return out
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
