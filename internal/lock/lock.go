// Package lock is the list of exact packages that an image is made of:
// `image/lock.json`. It holds names, versions, sizes, hashes and paths
// relative to an archive root, never an address, so that any mirror serves it.
package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
)

// Version is the schema number written to a lock.
const Version = 1

// Lock is the whole list.
type Lock struct {
	Version      int       `json:"version"`
	Architecture string    `json:"architecture"` // Debian's word: amd64, arm64
	Suites       []Suite   `json:"suites"`
	Packages     []Package `json:"packages"` // sorted by name, then version
}

// Suite records which signed index the packages were chosen from.
type Suite struct {
	Archive string `json:"archive"` // "debian" or "debian-security"
	Name    string `json:"name"`    // trixie, trixie-updates, trixie-security
	Date    string `json:"date"`    // the index's Date, RFC 3339 in UTC
	SHA256  string `json:"sha256"`  // of the InRelease file, hexadecimal
}

// Package is one .deb file.
type Package struct {
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	Architecture string   `json:"architecture"`     // of the package: amd64 or all
	Source       string   `json:"source,omitempty"` // source package, if named differently
	Archive      string   `json:"archive"`          // "debian" or "debian-security"
	Path         string   `json:"path"`             // below the archive root: pool/main/...
	Size         int64    `json:"size"`             // bytes
	SHA256       string   `json:"sha256"`           // hexadecimal
	Groups       []string `json:"groups"`           // what needs it: image, tools, a container's name; sorted
}

// ID names a package exactly, for messages: "bash_5.2.37-2+b5_amd64".
func (p Package) ID() string { return p.Name + "_" + p.Version + "_" + p.Architecture }

// Group returns the packages of one group, in the lock's order.
func (l Lock) Group(name string) []Package {
	var out []Package
	for _, p := range l.Packages {
		for _, g := range p.Groups {
			if g == name {
				out = append(out, p)
			}
		}
	}
	return out
}

// Parse reads a lock. Unknown fields, an unknown version and anything after
// the lock are errors.
func Parse(data []byte) (Lock, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Lock{}, fmt.Errorf("reading the lock: %w", err)
	}
	if head.Version != Version {
		return Lock{}, fmt.Errorf("reading the lock: it has version %d, this program reads version %d", head.Version, Version)
	}
	var l Lock
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return Lock{}, fmt.Errorf("reading the lock: %w", err)
	}
	return l, nil
}

// Marshal writes a lock: sorted, indented, the same bytes for the same packages.
func Marshal(l Lock) ([]byte, error) {
	l.Version = Version
	l.Packages = append([]Package(nil), l.Packages...)
	sort.SliceStable(l.Packages, func(i, j int) bool {
		a, b := l.Packages[i], l.Packages[j]
		if a.Name != b.Name {
			return a.Name < b.Name
		}
		return a.Version < b.Version
	})
	data, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing the lock: %w", err)
	}
	return append(data, '\n'), nil
}
