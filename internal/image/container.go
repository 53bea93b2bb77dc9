package image

import (
	"context"
	"errors"
	"fmt"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/glob"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/layout"
)

// ContainerTree joins the packages of the lock's group "container-NAME" into
// a whole root file system, without what the recipe removes. No finisher
// runs: a container starts one program. The caller closes the tree when its
// content is not read any more. Of the input only recipe, lock, Open,
// UnpackedDir, Code, Formats.Extract, Parallel, Progress and Logf count.
func ContainerTree(ctx context.Context, in Input, name string) (tree *fstree.Tree, done func(), err error) {
	group := "container-" + name
	if len(in.Lock.Group(group)) == 0 {
		return nil, nil, fmt.Errorf("making the container %s: the lock has no packages of the group %s", name, group)
	}
	b := &builder{Input: in}
	jobs, err := b.jobs(group)
	if err != nil {
		return nil, nil, err
	}
	cache := in.unpacked()
	if err := cache.Fill(ctx, jobs, max(in.Parallel, 1), nil); err != nil {
		return nil, nil, fmt.Errorf("making the container %s: %w", name, err)
	}
	if b.pkgs, err = cache.OpenAll(jobs, max(in.Parallel, 1)); err != nil {
		b.close()
		return nil, nil, fmt.Errorf("making the container %s: %w", name, err)
	}
	if tree, err = wholeTree(b.pkgs, in.Recipe.Remove); err == nil {
		err = addRuntimeDirs(tree)
	}
	if err != nil {
		b.close()
		return nil, nil, fmt.Errorf("making the container %s: %w", name, err)
	}
	return tree, b.close, nil
}

// addRuntimeDirs makes the folders that no package brings and programs expect.
func addRuntimeDirs(tree *fstree.Tree) error {
	for _, d := range []struct {
		path string
		mode uint32
	}{{"tmp", 0o1777}, {"var/tmp", 0o1777}, {"run", 0o755}, {"root", 0o700}, {"proc", 0o755}, {"sys", 0o755}, {"dev", 0o755}} {
		if tree.Get(d.path) != nil {
			continue
		}
		if err := tree.Put(fstree.Node{Path: d.path, Kind: fstree.Dir, Mode: d.mode, Origin: "container"}); err != nil {
			return err
		}
	}
	return nil
}

func wholeTree(pkgs []*unpacked.Package, patterns []string) (*fstree.Tree, error) {
	remove, err := glob.CompileList(patterns)
	if err != nil {
		return nil, fmt.Errorf("reading the recipe's remove list: %w", err)
	}
	m := &merged{tree: fstree.New()}
	var faults []error
	for _, p := range pkgs {
		for i := range p.Nodes {
			n := p.Nodes[i]
			if n.Path == "." || n.Kind != fstree.Dir && remove.Match(n.Path) {
				continue
			}
			if err := m.put(n); err != nil {
				faults = append(faults, err)
			}
		}
	}
	for _, dir := range layout.UsrLinks {
		if m.tree.Get(dir) == nil && m.tree.Get("usr/"+dir) != nil {
			faults = append(faults, m.put(fstree.Node{Path: dir, Kind: fstree.Symlink, Mode: 0o777, Target: "usr/" + dir, Origin: "build"}))
		}
	}
	m.mendHardLinks()
	return m.tree, errors.Join(faults...)
}
