package image

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/glob"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/image/view"
	"wellcar.dev/internal/layout"
)

// merged is the tree of all packages before overlay and finishers, with what
// does not stay in /usr.
type merged struct {
	tree    *fstree.Tree
	facts   map[[32]byte]unpacked.Facts
	kernel  kernelFiles
	stub    *fstree.Blob           // systemd-stub for the UKI
	grub    map[string]fstree.Blob // parts of GRUB for a BIOS, by name
	state   []fstree.Node          // what packages bring below /var, by path
	dropped []string               // "path (package)" outside /usr, /etc and /var
}

type kernelFiles struct {
	version string // uname -r
	image   fstree.Blob
	origin  string
}

const stubPath = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"

// mergePackages joins the packages into one tree, without what remove covers.
// All collisions are reported at once, each naming both packages.
func mergePackages(pkgs []*unpacked.Package, remove glob.List, kernel *regexp.Regexp) (*merged, error) {
	m := &merged{tree: fstree.New(), facts: map[[32]byte]unpacked.Facts{}, grub: map[string]fstree.Blob{}}
	var faults []error
	for _, p := range pkgs {
		name, _, _ := strings.Cut(p.ID, "_")
		isKernel := kernel.MatchString(name)
		for sum, f := range p.Facts {
			m.facts[sum] = f
		}
		for i := range p.Nodes {
			if err := m.place(p.Nodes[i], remove, isKernel); err != nil {
				faults = append(faults, err)
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("joining the packages: %w", err)
	}
	m.mendHardLinks()
	if err := m.pruneEmpty(pkgs); err != nil {
		return nil, fmt.Errorf("joining the packages: %w", err)
	}
	sort.Strings(m.dropped)
	sort.Slice(m.state, func(i, j int) bool { return m.state[i].Path < m.state[j].Path })
	return m, nil
}

// place puts one node of a package where it belongs in the image.
func (m *merged) place(n fstree.Node, remove glob.List, isKernel bool) error {
	if n.Path == stubPath && n.Kind == fstree.File {
		blob := n.Blob
		m.stub = &blob
		return nil
	}
	if isKernel && strings.HasPrefix(n.Path, "boot/") {
		return m.placeKernel(n)
	}
	if n.Kind != fstree.Dir && remove.Match(n.Path) {
		return nil
	}
	if n.Kind == fstree.Symlink && !strings.Contains(n.Path, "/") {
		return nil // base-files brings the links of a merged /usr
	}
	switch first, _, _ := strings.Cut(n.Path, "/"); {
	case first == "usr", first == "etc", slices.Contains(layout.UsrLinks, first):
		n.Path = view.InTree(n.Path)
		if n.LinkTo != "" {
			n.LinkTo = view.InTree(n.LinkTo)
		}
		return m.put(n)
	case first == "var":
		m.state = append(m.state, n)
	case first == ".":
	default:
		if n.Kind != fstree.Dir {
			m.dropped = append(m.dropped, fmt.Sprintf("%s (%s)", n.Path, n.Origin))
		}
	}
	return nil
}

// placeKernel keeps the kernel for the UKI and its options beside the modules.
func (m *merged) placeKernel(n fstree.Node) error {
	base := path.Base(n.Path)
	if version, ok := strings.CutPrefix(base, "vmlinuz-"); ok {
		if m.kernel.version != "" && m.kernel.version != version {
			return fmt.Errorf("two kernels: %s from %s and %s from %s", m.kernel.version, m.kernel.origin, version, n.Origin)
		}
		m.kernel = kernelFiles{version, n.Blob, n.Origin}
	}
	if version, ok := strings.CutPrefix(base, "config-"); ok {
		n.Path = "usr/lib/modules/" + version + "/config"
		return m.put(n)
	}
	return nil
}

// put adds a node; a different one of the same path is an error, but for
// directories, where the first one's mode and owner stay.
func (m *merged) put(n fstree.Node) error {
	old := m.tree.Get(n.Path)
	if old == nil || n.Path == "usr" || n.Path == layout.ShippedEtc {
		return m.tree.Put(n)
	}
	if old.Kind == fstree.Dir && n.Kind == fstree.Dir {
		return nil
	}
	if old.Kind == n.Kind && old.Target == n.Target && old.Blob.SHA256 == n.Blob.SHA256 && old.Mode == n.Mode && old.UID == n.UID && old.GID == n.GID {
		return nil
	}
	return fmt.Errorf("%s: %s (%s) and %s (%s) both bring it, with different content", n.Path, old.Origin, old.Kind, n.Origin, n.Kind)
}

// mendHardLinks gives the names of a file whose first name was removed a new
// first name, in the order of paths.
func (m *merged) mendHardLinks() {
	first := map[string]string{} // by removed name
	for _, n := range m.tree.Nodes() {
		if n.LinkTo == "" || m.tree.Get(n.LinkTo) != nil {
			continue
		}
		if other := first[n.LinkTo]; other != "" {
			n.LinkTo = other
			continue
		}
		first[n.LinkTo], n.LinkTo = n.Path, ""
	}
}

// pruneEmpty removes the directories that were not empty in the packages and
// are now, so that removing a file leaves no trace of it.
func (m *merged) pruneEmpty(pkgs []*unpacked.Package) error {
	filled := map[string]bool{} // directories that some package puts something into
	for _, p := range pkgs {
		for i := range p.Nodes {
			if p.Nodes[i].Kind != fstree.Dir {
				filled[path.Dir(view.InTree(p.Nodes[i].Path))] = true
			}
		}
	}
	nodes := m.tree.Nodes()
	kids := map[string]int{}
	for _, n := range nodes {
		kids[path.Dir(n.Path)]++
	}
	emptied, gone := map[string]bool{}, map[string]bool{}
	for i := len(nodes) - 1; i > 0; i-- { // children before parents
		n := nodes[i]
		if n.Kind != fstree.Dir || kids[n.Path] > 0 || !filled[n.Path] && !emptied[n.Path] {
			continue
		}
		gone[n.Path] = true
		parent := path.Dir(n.Path)
		kids[parent]--
		emptied[parent] = true
	}
	if len(gone) == 0 {
		return nil
	}
	// One new tree is quicker than removing directory by directory.
	m.tree = fstree.New()
	for _, n := range nodes {
		if gone[n.Path] {
			continue
		}
		if err := m.tree.Put(*n); err != nil {
			return err
		}
	}
	return nil
}
