package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/hwdb"
	"wellcar.dev/internal/image/check"
	"wellcar.dev/internal/image/derived"
	"wellcar.dev/internal/image/finish"
	"wellcar.dev/internal/image/modules"
	"wellcar.dev/internal/image/view"
	"wellcar.dev/internal/layout"
)

// finish runs the finishers in their order.
func (b *builder) finish(ctx context.Context) error {
	for _, f := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"identity", func(context.Context) error { return finish.Release(b.tree, b.identity()) }},
		{"accounts", func(context.Context) error { return finish.Accounts(b.tree, b.Recipe.Users) }},
		{"state", b.finishState},
		{"certificates", func(context.Context) error { return finish.CertificateAuthorities(b.tree) }},
		{"modules", b.finishModules},
		{"hwdb", b.finishHardware},
		{"ld.so.cache", b.finishLoader},
		{"grub", b.finishGRUB},
		{"presets", func(context.Context) error { return finish.Presets(b.tree) }},
	} {
		if err := b.phase(ctx, "finish "+f.name, f.run); err != nil {
			return fmt.Errorf("finishing the tree: %s: %w", f.name, err)
		}
	}
	return nil
}

func (b *builder) identity() finish.Identity {
	return finish.Identity{Version: b.Recipe.Version, Board: board, Cmdline: b.Recipe.Cmdline}
}

func (b *builder) finishState(context.Context) error {
	dropped, err := finish.State(b.tree, b.merged.state)
	for _, d := range dropped {
		b.Logf("left out: %s", d)
	}
	return err
}

// moduleIndex is what the build knows of the kernel modules. Infos are read
// only when something derived is missing.
type moduleIndex struct {
	dir    string // usr/lib/modules/VERSION
	files  []ModuleFile
	infos  []modules.Info
	digest [32]byte
	faults map[string]string // by path below dir
}

func (m moduleIndex) unmet() check.Errors {
	var out check.Errors
	for _, p := range sortedKeys(m.faults) {
		out = append(out, check.Violation{Path: m.dir + "/" + p, Origin: "kernel", Message: m.faults[p]})
	}
	return out
}

// finishModules makes modules.dep and its companions.
func (b *builder) finishModules(ctx context.Context) error {
	m := &b.modules
	m.dir = modulesDir + b.merged.kernel.version
	h := sha256.New()
	for _, n := range b.tree.Nodes() {
		rel, ok := strings.CutPrefix(n.Path, m.dir+"/")
		if !ok || n.Kind != fstree.File {
			continue
		}
		fmt.Fprintf(h, "%s %x\n", rel, n.Blob.SHA256)
		if path.Ext(rel) == ".ko" {
			m.files = append(m.files, ModuleFile{rel, n.Blob})
		}
	}
	m.digest = [32]byte(h.Sum(nil))
	files, err := b.derived.Get(ctx, "modules-1", m.digest, func(context.Context) (derived.Files, error) { return b.indexModules() })
	if err != nil {
		return err
	}
	m.faults = map[string]string{}
	out := map[string][]byte{}
	for name, data := range files {
		if p, ok := strings.CutPrefix(name, unmetPrefix); ok {
			m.faults[p] = string(data)
			continue
		}
		out[m.dir+"/"+name] = data
	}
	return finish.PutFiles(b.tree, out)
}

// unmetPrefix marks, among the index files, the faults that were found.
const unmetPrefix = "unmet:"

func (b *builder) indexModules() (derived.Files, error) {
	texts := map[string][]byte{}
	for _, name := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		n := b.tree.Get(b.modules.dir + "/" + name)
		if n == nil {
			continue
		}
		data, err := n.Blob.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Path, err)
		}
		texts[name] = data
	}
	infos, index, err := b.Formats.Modules(b.modules.files, texts["modules.order"], texts["modules.builtin"], texts["modules.builtin.modinfo"])
	if err != nil {
		return nil, err
	}
	b.modules.infos = infos
	files := derived.Files(index)
	for p, fault := range modules.Unmet(infos, b.builtin()) {
		files[unmetPrefix+p] = []byte(fault)
	}
	return files, nil
}

// builtin lists the paths of modules.builtin.
func (b *builder) builtin() []string {
	n := b.tree.Get(b.modules.dir + "/modules.builtin")
	if n == nil {
		return nil
	}
	data, err := n.Blob.Bytes()
	if err != nil {
		return nil // a module that is not found will be reported
	}
	return strings.Fields(string(data))
}

const hwdbDir = "usr/lib/udev/hwdb.d"

// finishHardware compiles the hardware database of udev.
func (b *builder) finishHardware(ctx context.Context) error {
	wanted := func(n *fstree.Node) bool {
		return n.Kind == fstree.File && path.Dir(n.Path) == hwdbDir && path.Ext(n.Path) == ".hwdb"
	}
	var sources []*fstree.Node
	for _, n := range b.tree.Nodes() {
		if wanted(n) {
			sources = append(sources, n)
		}
	}
	if len(sources) == 0 {
		return nil
	}
	files, err := b.derived.Get(ctx, "hwdb-2", finish.Digest(b.tree, "hwdb", wanted), func(context.Context) (derived.Files, error) {
		data, err := compileHardware(sources)
		return derived.Files{"hwdb.bin": data}, err
	})
	if err != nil {
		return err
	}
	return finish.PutFiles(b.tree, map[string][]byte{"usr/lib/udev/hwdb.bin": files["hwdb.bin"]})
}

func compileHardware(sources []*fstree.Node) ([]byte, error) {
	var files []hwdb.File
	for _, n := range sources {
		data, err := n.Blob.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Path, err)
		}
		files = append(files, hwdb.File{Name: "/" + n.Path, Text: string(data)})
	}
	return hwdb.Compile(files)
}

// finishLoader makes ld.so.cache.
func (b *builder) finishLoader(ctx context.Context) error {
	dirs, err := b.loaderDirs()
	if err != nil {
		return err
	}
	in := map[string]bool{}
	for _, d := range dirs {
		in[d] = true
	}
	digest := finish.Digest(b.tree, strings.Join(dirs, ":"), func(n *fstree.Node) bool { return n.Kind != fstree.Dir && in[path.Dir(n.Path)] })
	files, err := b.derived.Get(ctx, "ldcache-1", digest, func(context.Context) (derived.Files, error) {
		data, err := b.Formats.LoaderCache(b.tree, dirs)
		return derived.Files{"ld.so.cache": data}, err
	})
	if err != nil {
		return err
	}
	return finish.PutFiles(b.tree, map[string][]byte{layout.ShippedEtc + "/ld.so.cache": files["ld.so.cache"]})
}

// loaderDirs are the folders of ld.so.conf.d, then the loader's own.
func (b *builder) loaderDirs() ([]string, error) {
	var dirs []string
	seen := map[string]bool{}
	add := func(dir string) {
		if dir = view.InTree(dir); !seen[dir] && b.tree.Get(dir) != nil {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	for _, n := range b.tree.Nodes() {
		if n.Kind != fstree.File || !strings.HasPrefix(n.Path, layout.ShippedEtc+"/ld.so.conf.d/") {
			continue
		}
		text, err := n.Blob.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Path, err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				add(line)
			}
		}
	}
	for _, dir := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"} {
		add(dir)
	}
	return dirs, nil
}
