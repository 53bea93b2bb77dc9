package provision

import (
	"encoding/json"
	"fmt"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// State is what a stage leaves to later ones, which may run in other
// processes. Its JSON has the names that users of Ignition know; Places is an
// addition.
type State struct {
	// FetchedConfigs are the configs that were read, for the result.
	FetchedConfigs []FetchedConfig `json:"fetchedConfigs"`
	// LuksPersistKeyFiles are keys that the files stage writes and then
	// forgets: volume name to data URL.
	LuksPersistKeyFiles map[string]string `json:"luksPersistKeyFiles"`
	// LuksPersistVolumeKeyFiles are keys of the secure key repository, likewise.
	LuksPersistVolumeKeyFiles map[string]string `json:"luksPersistVolumeKeyFiles"`
	// NotatedDirectories are what the mount stage made, as absolute paths of
	// the target. Those in a user's home become the user's.
	NotatedDirectories []string `json:"notatedDirectories"`
	// ProviderOutputFiles are files that the platform wants written.
	ProviderOutputFiles []types.File `json:"providerOutputFiles"`
	// Places are those of the elements of the cached config.
	Places Places `json:"places,omitzero"`
}

// FetchedConfig is a config that was read.
type FetchedConfig struct {
	Kind       string `json:"kind"` // base or user
	Source     string `json:"source"`
	Referenced bool   `json:"referenced"` // another config named it
}

// UserProvided tells whether one of the configs is the user's own.
func (s *State) UserProvided() bool {
	for _, c := range s.FetchedConfigs {
		if c.Kind == "user" && !c.Referenced {
			return true
		}
	}
	return false
}

// Places are where the elements of a config stand in the texts it was made
// of. An element without a place of its own stands where the one around it
// does.
type Places struct {
	Name  string            `json:"name"`  // of the config's text
	Files []string          `json:"files"` // names of all texts
	At    map[string][3]int `json:"at"`    // Path.String to index in Files, line, column
}

// Places lists the places of all elements.
func (c Config) Places() Places {
	out := placer{Places: Places{Name: c.Name, At: map[string][3]int{}}, config: c, index: map[string]int{}}
	var root any
	json.Unmarshal(c.JSON, &root)
	out.walk(root, nil, Position{})
	return out.Places
}

type placer struct {
	Places
	config Config
	index  map[string]int
}

func (p *placer) walk(v any, at Path, around Position) {
	here := p.config.Position(at...)
	if here != around {
		p.At[at.String()] = [3]int{p.file(here.File), here.Line, here.Column}
	}
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			p.walk(child, at.with(name), here)
		}
	case []any:
		for i, child := range v {
			p.walk(child, at.with(i), here)
		}
	}
}

func (p *placer) file(name string) int {
	i, known := p.index[name]
	if !known {
		i = len(p.Files)
		p.index[name], p.Files = i, append(p.Files, name)
	}
	return i
}

func (p Places) find(at Path) (Position, bool) {
	n, ok := p.At[at.String()]
	if !ok || n[0] < 0 || n[0] >= len(p.Files) {
		return Position{}, false
	}
	return Position{p.Files[n[0]], n[1], n[2]}, true
}

// Cached reads a config that Render and json.Marshal made. It is not checked
// again.
func Cached(data []byte, places Places, userProvided bool) (Config, error) {
	c := Config{Name: places.Name, Kind: KindIgnition, JSON: data, UserProvided: userProvided, at: places}
	if err := json.Unmarshal(data, &c.Ignition); err != nil {
		return c, fmt.Errorf("reading the cached config: %w", err)
	}
	return c, nil
}

// Empty is a config that asks for nothing.
func Empty(name string) Config {
	c := Config{Name: name, Kind: KindIgnition, at: pinned{File: name}}
	c.Ignition.Ignition.Version = types.MaxVersion.String()
	c.JSON, _ = json.Marshal(c.Ignition)
	return c
}
