package archive

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wellcar.dev/internal/lock"
)

// Options say what a lock is made for.
type Options struct {
	Cache        Cache
	Release      string              // "" means Release
	Architecture string              // Debian's word; "" means amd64
	Want         map[string][]string // what each group wants, as Resolve takes it
	Drop         []string            // names that are never chosen
	FetchOptions
}

// UpdateLock resolves what is wanted with the archive's newest packages.
// Packages of one group that conflict are logged.
func UpdateLock(ctx context.Context, o Options) (lock.Lock, error) {
	arch := orElse(o.Architecture, "amd64")
	index, suites, err := o.Cache.LoadIndex(ctx, Suites(orElse(o.Release, Release)), arch, o.FetchOptions)
	if err != nil {
		return lock.Lock{}, err
	}
	picks, err := Resolve(index, o.Want, o.Drop)
	if err != nil {
		return lock.Lock{}, err
	}
	for _, text := range picks.Conflicts {
		logf(o.Logf).log("%s", text)
	}
	return lock.Lock{Version: lock.Version, Architecture: arch, Suites: suites, Packages: union(picks)}, nil
}

// union lists the packages of all groups once, sorted by name.
func union(picks Picks) []lock.Package {
	byName := map[string]*lock.Package{}
	for _, group := range slices.Sorted(maps.Keys(picks.Groups)) {
		for _, p := range picks.Groups[group] {
			if byName[p.Name] == nil {
				entry := p.Package
				byName[p.Name] = &entry
			}
			byName[p.Name].Groups = append(byName[p.Name].Groups, group)
		}
	}
	out := make([]lock.Package, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, *byName[name])
	}
	return out
}

// Policy says what to do about pinned packages that the archive no longer has.
type Policy uint8

const (
	Prefer  Policy = iota // take the newest version instead, and say so
	Require               // fail
)

// ParsePolicy reads the value of --lock.
func ParsePolicy(s string) (Policy, error) {
	switch s {
	case "prefer":
		return Prefer, nil
	case "require":
		return Require, nil
	}
	return 0, fmt.Errorf("reading the lock policy %q: it is neither prefer nor require", s)
}

// String is the inverse of ParsePolicy.
func (p Policy) String() string {
	if p == Require {
		return "require"
	}
	return "prefer"
}

// Fetched is what FetchLocked brought.
type Fetched struct {
	Lock     lock.Lock         // the lock as given, apart from the replaced packages
	Paths    map[string]string // path of each package's file, by its SHA-256
	Replaced []string          // "openssl 3.5.4-1 -> 3.5.5-1"; if any, the build is not locked
}

// FetchLocked fetches the locked packages of some groups. With Prefer,
// packages that the archive no longer has are replaced by their newest
// version, along with the other packages made from the same source, since
// these often fit each other only in equal versions.
func (c Cache) FetchLocked(ctx context.Context, l lock.Lock, groups []string, policy Policy, o FetchOptions) (Fetched, error) {
	paths, missing, err := c.fetch(ctx, ofGroups(l, groups), o)
	if err != nil {
		return Fetched{}, err
	}
	if len(missing) == 0 {
		return Fetched{Lock: l, Paths: paths}, nil
	}
	if policy == Require {
		return Fetched{}, goneError(missing)
	}
	logf(o.Logf).log("the archive no longer has %s: looking for newer versions", ids(missing))
	index, _, err := c.LoadIndex(ctx, l.Suites, l.Architecture, o)
	if err != nil {
		return Fetched{}, fmt.Errorf("replacing packages that the archive no longer has: %w", err)
	}
	changed, replaced, err := replace(l, missing, index)
	if err != nil {
		return Fetched{}, err
	}
	paths, err = c.Fetch(ctx, ofGroups(changed, groups), o)
	if err != nil {
		return Fetched{}, err
	}
	return Fetched{Lock: changed, Paths: paths, Replaced: replaced}, nil
}

// ofGroups lists the packages of any of the groups, in the lock's order.
func ofGroups(l lock.Lock, groups []string) []lock.Package {
	var out []lock.Package
	for _, p := range l.Packages {
		if slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
			out = append(out, p)
		}
	}
	return out
}

// replace takes the missing packages, and those of the same sources, from the
// index. The given lock is not changed.
func replace(l lock.Lock, missing []lock.Package, index *Index) (lock.Lock, []string, error) {
	gone, sources := map[string]bool{}, map[string]bool{}
	for _, p := range missing {
		gone[p.SHA256], sources[orElse(p.Source, p.Name)] = true, true
	}
	var replaced, lost []string
	l.Packages = slices.Clone(l.Packages)
	for i, p := range l.Packages {
		if !sources[orElse(p.Source, p.Name)] {
			continue
		}
		newest := index.packages[p.Name]
		if newest == nil || gone[p.SHA256] && newest.SHA256 == p.SHA256 {
			if gone[p.SHA256] {
				lost = append(lost, p.ID())
			}
			continue
		}
		if newest.SHA256 == p.SHA256 {
			continue
		}
		l.Packages[i] = newest.Package
		l.Packages[i].Groups = p.Groups
		replaced = append(replaced, p.Name+" "+p.Version+" -> "+newest.Version)
	}
	if len(lost) > 0 {
		return lock.Lock{}, nil, fmt.Errorf("replacing packages that the archive no longer has: it has no other version of %s either: resolve anew with `wellcar lock`", strings.Join(lost, ", "))
	}
	return l, replaced, nil
}

func goneError(missing []lock.Package) error {
	return fmt.Errorf("fetching %s: %w any more, or the mirror is incomplete: take its current packages with `wellcar lock`", ids(missing), ErrNotFound)
}

func ids(packages []lock.Package) string {
	names := make([]string, len(packages))
	for i, p := range packages {
		names[i] = p.ID()
	}
	return strings.Join(names, ", ")
}
