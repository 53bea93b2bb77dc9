package archive

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	version "github.com/knqyf263/go-deb-version"
	"github.com/therootcompany/xz"
	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/lock"
)

// Package is one package of an index, as far as installing it needs.
type Package struct {
	lock.Package        // without Groups
	Priority     string // required, important, standard, optional, extra
	PreDepends   string // relations as written
	Depends      string
	Provides     string
	Conflicts    string
	Breaks       string
}

// Index holds the newest version of each package of some suites.
type Index struct {
	packages map[string]*Package
	provided map[string][]provision // by the name that is provided
}

// A provision says that a package also counts as another name.
type provision struct {
	by      *Package
	version string // "" if it counts as no version in particular
}

// Suites lists the suites of a Debian release, the one to prefer first.
func Suites(release string) []lock.Suite {
	return []lock.Suite{
		{Archive: Main, Name: release},
		{Archive: Main, Name: release + "-updates"},
		{Archive: Security, Name: release + "-security"},
	}
}

// LoadIndex fetches and checks the indexes of the suites, of which it reads
// Archive and Name, and returns them merged, with the suites filled in.
// Indexes are kept in the cache by their hash and not fetched again.
func (c Cache) LoadIndex(ctx context.Context, suites []lock.Suite, arch string, o FetchOptions) (*Index, []lock.Suite, error) {
	if err := c.Client.Mirror.Check(); err != nil {
		return nil, nil, err
	}
	keys, err := keyring(c.Client.Keys)
	if err != nil {
		return nil, nil, err
	}
	releases := make([]*release, len(suites))
	group, limited := errgroup.WithContext(ctx)
	for i, s := range suites {
		group.Go(func() (err error) {
			releases[i], err = c.Client.release(limited, keys, s.Archive, s.Name, arch)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	files, err := c.fetchIndexes(ctx, releases, arch, o)
	if err != nil {
		return nil, nil, err
	}
	index := &Index{packages: map[string]*Package{}}
	found := make([]lock.Suite, len(suites))
	for i, r := range releases {
		found[i] = r.suite
		if err := index.addFile(files[i], r.suite.Archive, arch); err != nil {
			return nil, nil, fmt.Errorf("reading the package index of %s: %w", r.suite.Name, err)
		}
	}
	return index, found, index.link()
}

// fetchIndexes returns the files that hold the package index of each release.
func (c Cache) fetchIndexes(ctx context.Context, releases []*release, arch string, o FetchOptions) ([]string, error) {
	items := make([]item, len(releases))
	files := make([]string, len(releases))
	for i, r := range releases {
		it, err := c.indexItem(r, arch)
		if err != nil {
			return nil, err
		}
		items[i], files[i] = it, it.Path
	}
	missing, err := c.Client.downloadAll(ctx, lacking(items), o)
	if err == nil && len(missing) > 0 {
		address := orElse(missing[0].Else, missing[0].Address)
		err = fmt.Errorf("downloading %s from %s: %w", missing[0].Name, shown(address), ErrNotFound)
	}
	return files, err
}

// indexItem says where the package index of a release is. A mirror that is
// being updated serves the old and the new one by their hashes.
func (c Cache) indexItem(r *release, arch string) (item, error) {
	name, file, err := r.packages(arch)
	if err != nil {
		return item{}, err
	}
	address, err := c.Client.Mirror.address(r.suite.Archive, "dists/"+r.suite.Name+"/"+name)
	if err != nil {
		return item{}, err
	}
	it := item{
		Name: "the index " + name + " of " + r.suite.Name, Address: address,
		Path: filepath.Join(c.Dir, "indexes", file.sha256+path.Ext(name)),
		Size: file.size, SHA256: file.sha256, Says: "the InRelease file",
	}
	if r.byHash {
		it.Address = strings.TrimSuffix(address, path.Base(name)) + "by-hash/SHA256/" + file.sha256
		it.Else = address
	}
	return it, nil
}

// packages finds the package index in the list of hashes.
func (r *release) packages(arch string) (string, indexFile, error) {
	for _, suffix := range []string{".xz", ".gz"} {
		name := "main/binary-" + arch + "/Packages" + suffix
		if file, ok := r.files[name]; ok {
			return name, file, nil
		}
	}
	return "", indexFile{}, fmt.Errorf("finding the package index of %s: its InRelease file lists no main/binary-%s/Packages.xz", r.suite.Name, arch)
}

// addFile reads one compressed package index.
func (x *Index) addFile(name, archive, arch string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := bufio.NewReaderSize(f, 1<<16)
	var text io.Reader
	if strings.HasSuffix(name, ".gz") {
		text, err = gzip.NewReader(in)
	} else {
		text, err = xz.NewReader(in, xz.DefaultDictMax)
	}
	if err != nil {
		return err
	}
	return x.add(text, archive, arch)
}

// add reads stanzas one by one; of equal names the highest version stays, of
// equal versions the first.
func (x *Index) add(text io.Reader, archive, arch string) error {
	r := newStanzaReader(bufio.NewReaderSize(text, 1<<16), packageField)
	for {
		fields, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := newPackage(fields, archive)
		if err != nil {
			return err
		}
		if p.Architecture != arch && p.Architecture != "all" {
			continue
		}
		have := x.packages[p.Name]
		if have != nil {
			order, err := compareVersions(p.Version, have.Version)
			if err != nil {
				return fmt.Errorf("reading the stanza of %s: %w", p.Name, err)
			}
			if order <= 0 {
				continue
			}
		}
		x.packages[p.Name] = p
	}
}

func packageField(name string) bool {
	switch name {
	case "package", "version", "architecture", "source", "priority", "filename", "size", "sha256",
		"pre-depends", "depends", "provides", "conflicts", "breaks":
		return true
	}
	return false
}

func newPackage(f map[string]string, archive string) (*Package, error) {
	source, _, _ := strings.Cut(f["source"], " ")
	size, err := strconv.ParseInt(f["size"], 10, 64)
	if err != nil || size <= 0 {
		return nil, fmt.Errorf("reading the stanza of %q: %q is not a size", f["package"], f["size"])
	}
	p := &Package{
		Package: lock.Package{
			Name: f["package"], Version: f["version"], Architecture: f["architecture"], Source: source,
			Archive: archive, Path: f["filename"], Size: size, SHA256: f["sha256"],
		},
		Priority: f["priority"], PreDepends: f["pre-depends"], Depends: f["depends"],
		Provides: f["provides"], Conflicts: f["conflicts"], Breaks: f["breaks"],
	}
	if p.Name == "" || p.Version == "" || p.Architecture == "" {
		return nil, fmt.Errorf("reading the stanza of %q: it lacks a name, a version or an architecture", p.Name)
	}
	return p, checkPackage(p.Package)
}

// checkPackage refuses what could lead outside the archive or the cache.
func checkPackage(p lock.Package) error {
	if !fs.ValidPath(p.Path) {
		return fmt.Errorf("checking %s: %q is not a path below the archive's root", p.ID(), p.Path)
	}
	if !isSHA256(p.SHA256) {
		return fmt.Errorf("checking %s: %q is not a SHA-256 in lower case", p.ID(), p.SHA256)
	}
	return nil
}

// compareVersions orders versions as deb-version(7) says.
func compareVersions(a, b string) (int, error) {
	if a == b {
		return 0, nil
	}
	left, err := version.NewVersion(a)
	if err != nil {
		return 0, fmt.Errorf("reading the version %q: %w", a, err)
	}
	right, err := version.NewVersion(b)
	if err != nil {
		return 0, fmt.Errorf("reading the version %q: %w", b, err)
	}
	return left.Compare(right), nil
}
