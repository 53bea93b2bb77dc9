package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"path"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/derived"
	"wellcar.dev/internal/image/glob"
	"wellcar.dev/internal/image/modules"
)

// makeInitrd returns the compressed initrd. It changes only with PID 1, the
// kernel, the release and the recipe's choice of modules, so it is kept by
// their digest.
func (b *builder) makeInitrd(ctx context.Context) ([]byte, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%x %q %x %q %q %q\n", sha256.Sum256(b.Init), b.merged.kernel.version, b.modules.digest,
		b.identity().OSRelease(), b.Recipe.Initrd.Modules, b.Recipe.Initrd.Drivers)
	files, err := b.derived.Get(ctx, "initrd-3", [32]byte(h.Sum(nil)), func(context.Context) (derived.Files, error) {
		data, err := b.buildInitrd()
		return derived.Files{"initrd": data}, err
	})
	if err != nil {
		return nil, fmt.Errorf("making the initrd: %w", err)
	}
	return files["initrd"], nil
}

func (b *builder) buildInitrd() ([]byte, error) {
	if b.modules.infos == nil {
		if _, err := b.indexModules(); err != nil {
			return nil, err
		}
	}
	drivers, err := glob.CompileList(b.Recipe.Initrd.Drivers)
	if err != nil {
		return nil, err
	}
	set, err := modules.Choose(b.modules.infos, b.builtin(), b.Recipe.Initrd.Modules, drivers)
	if err != nil {
		return nil, err
	}
	tree, err := b.initrdTree(set)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	if err := b.Formats.Cpio(&archive, tree); err != nil {
		return nil, err
	}
	return compress(archive.Bytes())
}

// initrdDirs are the mount points and folders that PID 1 expects.
var initrdDirs = []string{"dev", "proc", "run", "sys", "sysroot", "tmp", "usr"}

// initrdTree holds PID 1 and its modules, nothing else: as soon as /usr is
// mounted, the links let programs of it run.
func (b *builder) initrdTree(set modules.Set) (*fstree.Tree, error) {
	dir := "lib/modules/" + b.merged.kernel.version
	nodes := []fstree.Node{
		{Path: "init", Kind: fstree.File, Mode: 0o755, Blob: fstree.BytesBlob(b.Init)},
		{Path: "modules.list", Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(set.List())},
		{Path: "etc/initrd-release", Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(b.identity().OSRelease())},
		{Path: dir, Kind: fstree.Dir, Mode: 0o755},
	}
	for _, d := range initrdDirs {
		nodes = append(nodes, fstree.Node{Path: d, Kind: fstree.Dir, Mode: 0o755})
	}
	for _, l := range []string{"bin", "lib64", "sbin"} { // lib holds the modules
		nodes = append(nodes, fstree.Node{Path: l, Kind: fstree.Symlink, Mode: 0o777, Target: "usr/" + l})
	}
	blobs := map[string]fstree.Blob{}
	for _, f := range b.modules.files {
		blobs[f.Path] = f.Blob
	}
	for _, m := range set.Modules {
		nodes = append(nodes, fstree.Node{Path: path.Join(dir, m.Name+".ko"), Kind: fstree.File, Mode: 0o644, Blob: blobs[m.Path]})
	}
	tree := fstree.New()
	for _, n := range nodes {
		if err := tree.Put(n); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// compress uses the encoder that updates pack an initrd with, so that a delta
// can leave out what two initrds have in common.
func compress(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := delta.PackInitrd(&out)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return out.Bytes(), nil
}
