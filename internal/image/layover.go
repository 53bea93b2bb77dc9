package image

import (
	"errors"
	"fmt"
	"path"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/view"
)

// layOver puts the overlay, the programs, the links of alternatives and the
// nodes of the recipe over the packages' tree, in this order.
func layOver(tree *fstree.Tree, r Recipe, programs map[string][]byte) error {
	var faults []error
	put := func(n fstree.Node) {
		if err := replace(tree, n); err != nil {
			faults = append(faults, err)
		}
	}
	for _, o := range r.Overlay {
		n := fstree.Node{Path: view.InTree(o.Path), Kind: fstree.File, Mode: o.Mode, Origin: "overlay/" + o.Path}
		if o.Target != "" {
			n.Kind, n.Mode, n.Target = fstree.Symlink, 0o777, o.Target
		} else {
			n.Blob = fstree.BytesBlob(o.Data)
		}
		put(n)
	}
	for _, name := range sortedKeys(programs) {
		put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o755, Blob: fstree.BytesBlob(programs[name]), Origin: path.Base(name)})
	}
	for _, link := range sortedKeys(r.Alternatives) {
		put(fstree.Node{Path: view.InTree(link), Kind: fstree.Symlink, Mode: 0o777, Target: r.Alternatives[link], Origin: "recipe.yaml"})
	}
	for _, rule := range r.Nodes {
		put(rule.node(tree))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("laying the recipe over the packages: %w", err)
	}
	return nil
}

// replace puts a node in place of one of the same path. What replaces a
// directory that is not empty would orphan its content: an error.
func replace(tree *fstree.Tree, n fstree.Node) error {
	old := tree.Get(n.Path)
	if old != nil && old.Kind == fstree.Dir && n.Kind != fstree.Dir {
		if kids := tree.Children(n.Path); len(kids) > 0 {
			return fmt.Errorf("%s from %s: %s from %s is a directory and holds %s", n.Path, n.Origin, old.Path, old.Origin, kids[0].Path)
		}
	}
	return tree.Put(n)
}

// node is what a rule makes of the tree's node of its path.
func (rule NodeRule) node(tree *fstree.Tree) fstree.Node {
	n := fstree.Node{Path: view.InTree(rule.Path), Origin: "nodes.yaml"}
	old := tree.Get(n.Path)
	switch rule.Type {
	case "symlink":
		n.Kind, n.Mode, n.Target = fstree.Symlink, 0o777, rule.Target
		return n
	case "dir":
		n.Kind, n.Mode = fstree.Dir, 0o755
	default:
		n.Kind, n.Mode, n.Blob = fstree.File, 0o644, fstree.BytesBlob(nil)
	}
	if old != nil && old.Kind == n.Kind {
		n = *old
	}
	if rule.Mode != nil {
		n.Mode = uint32(*rule.Mode)
	}
	if rule.UID != nil {
		n.UID = *rule.UID
	}
	if rule.GID != nil {
		n.GID = *rule.GID
	}
	return n
}
