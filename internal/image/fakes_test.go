package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/modules"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/lock"
)

// fakeFormats write simple text instead of the real formats, so that these
// tests say only what the engine does.
func fakeFormats() Formats {
	return Formats{
		Extract: fakeExtract,
		Usr: func(f Disk, base int64, tree *fstree.Tree, o UsrOptions) (Usr, error) {
			text := listing(tree)
			if _, err := f.WriteAt([]byte(text), base); err != nil {
				return Usr{}, err
			}
			return Usr{RootHash: sha256.Sum256([]byte(text)), DataSize: 4096, TreeSize: 8192}, nil
		},
		FAT: func(w io.WriterAt, _ int64, label string, _ uint32, tree *fstree.Tree) error {
			_, err := w.WriteAt([]byte(label+"\n"+listing(tree)), 0)
			return err
		},
		GPT: func(w io.WriterAt, t Table) error {
			data, err := json.Marshal(t)
			if err != nil {
				return err
			}
			_, err = w.WriteAt(data, 0)
			return err
		},
		UKI: func(p UKIParts) ([]byte, error) {
			return fmt.Appendf(nil, "%s|%s|%s|%s|%x", p.Stub, p.Kernel, p.Cmdline, p.Uname, sha256.Sum256(p.Initrd)), nil
		},
		AddOn: func(stub []byte, words string) ([]byte, error) { return fmt.Appendf(nil, "%s|%s", stub, words), nil },
		Cpio: func(w io.Writer, tree *fstree.Tree) error {
			_, err := io.WriteString(w, listing(tree))
			return err
		},
		LoaderCache: func(_ *fstree.Tree, dirs []string) ([]byte, error) { return []byte(strings.Join(dirs, "\n")), nil },
		Modules: func(files []ModuleFile, _, _, _ []byte) ([]modules.Info, map[string][]byte, error) {
			var infos []modules.Info
			for _, f := range files {
				data, err := f.Blob.Bytes()
				if err != nil {
					return nil, nil, err
				}
				infos = append(infos, modules.Info{Path: f.Path, Name: modules.Name(f.Path), Depends: strings.Fields(string(data))})
			}
			return infos, map[string][]byte{"modules.dep": fmt.Appendf(nil, "%d modules\n", len(infos))}, nil
		},
	}
}

func listing(tree *fstree.Tree) string {
	var b strings.Builder
	for _, c := range contents(tree) {
		b.WriteString(c.String() + "\n")
	}
	return b.String()
}

// fakeTools stand for mke2fs and debugfs. The file system is a text with the
// files that were written into it.
func fakeTools(_ context.Context, env []string, name string, args ...string) ([]byte, error) {
	switch name {
	case "mke2fs":
		return nil, os.WriteFile(args[len(args)-2], []byte(strings.Join(env, " ")), 0o600)
	case "debugfs":
		return nil, fakeDebugfs(args[len(args)-1], args[len(args)-2])
	}
	return nil, errors.New("no such tool: " + name)
}

func fakeDebugfs(image, script string) error {
	text, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	lines, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		var from, to string
		if _, err := fmt.Sscanf(line, "write %q %s", &from, &to); err != nil {
			return err
		}
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		text = fmt.Appendf(text, "\n[%s]\n%s", to, data)
	}
	return os.WriteFile(image, text, 0o600)
}

// fakeExtract reads a plain tar as if it were a package.
func fakeExtract(pkg io.ReaderAt, size int64, data io.Writer, keep func(string) bool) ([]fstree.Node, error) {
	var nodes []fstree.Node
	var offset int64
	for r := tar.NewReader(io.NewSectionReader(pkg, 0, size)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nodes, nil
		}
		if err != nil {
			return nil, err
		}
		n := fstree.Node{Path: fstree.Clean(h.Name), Mode: uint32(h.Mode), Target: h.Linkname}
		if keep != nil && !keep(n.Path) {
			continue
		}
		switch h.Typeflag {
		case tar.TypeDir:
			n.Kind = fstree.Dir
		case tar.TypeSymlink:
			n.Kind = fstree.Symlink
		default:
			n.Kind = fstree.File
			content, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			if _, err := data.Write(content); err != nil {
				return nil, err
			}
			n.Blob = fstree.Blob{Offset: offset, Size: int64(len(content)), SHA256: sha256.Sum256(content)}
			offset += n.Blob.Size
		}
		nodes = append(nodes, n)
	}
}

// entries describe a package: path to content. A content "-> x" is a link,
// a path that ends in "/" a directory, one that starts with "+" is
// executable and one with "s" before that setuid.
type entries map[string]string

func makePackage(t *testing.T, files entries) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range sortedKeys(files) {
		text, mode := files[name], int64(0o644)
		if rest, ok := strings.CutPrefix(name, "s+"); ok {
			name, mode = rest, 0o4755
		} else if rest, ok := strings.CutPrefix(name, "+"); ok {
			name, mode = rest, 0o755
		}
		h := &tar.Header{Name: name, Mode: mode, Size: int64(len(text)), Typeflag: tar.TypeReg}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			h.Typeflag, h.Linkname, h.Size, text = tar.TypeSymlink, target, 0, ""
		} else if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

type openPackage struct{ *bytes.Reader }

func (openPackage) Close() error { return nil }

const testKernel = "6.1.0-test"

// testPackages is the smallest set that makes an image.
func testPackages() map[string]entries {
	m := modulesDir + testKernel + "/"
	return map[string]entries{
		"linux-image-6": {"boot/vmlinuz-" + testKernel: "KERNEL", "boot/config-" + testKernel: "CONFIG_A=y\n# CONFIG_B is not set\n",
			m + "kernel/fs/erofs.ko": "libcrc", m + "kernel/lib/libcrc.ko": "", m + "kernel/sound/snd.ko": "", m + "modules.builtin": ""},
		"systemd-boot-efi": {stubPath: "STUB", espBootloader: "LOADER", "usr/" + layout.AddOnStub: "ADDON"},
		"base": {"bin": "-> usr/bin", "+usr/bin/bash": "BASH", "etc/profile": "p", "usr/share/doc/base/README": "x", "usr/share/doc/base/copyright": "c",
			"usr/lib/udev/hwdb.d/20-a.hwdb": "usb:*\n A=b\n", "var/lib/base/": "", "opt/x": "y",
			"usr/lib/systemd/system/a.service": "[Service]\nExecStart=/bin/bash\n[Install]\nWantedBy=multi-user.target\n"},
	}
}

// testRecipe is the folder of a recipe; files replaces some of it.
func testRecipe(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"recipe.yaml": `name: wellcar
version: 1.2.3
packages: [base]
remove: ["usr/share/doc/**", "!usr/share/doc/*/copyright"]
modules: {remove: ["kernel/sound/**"]}
initrd: {modules: [erofs]}
alternatives: {usr/bin/sh: bash}
cmdline: "quiet"
`,
		"users.yaml":          "groups: [{name: root, gid: 0}, {name: shadow, gid: 42}]\nusers: [{name: root, uid: 0, gid: 0, home: /root, shell: /bin/bash}]\n",
		"nodes.yaml":          "- {path: etc/secret, type: file, mode: 0600, gid: 42}\n- {path: usr/share/empty, type: dir, mode: 0750}\n",
		"overlay.yaml":        "modes: {etc/private: 0640}\n",
		"overlay/etc/secret":  "s",
		"overlay/etc/private": "p",
		"overlay/usr/bin/run": "#!/bin/sh\n",
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		if err := writeBelow(dir, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "overlay/usr/bin/run"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testInput(t *testing.T, recipeDir string, packages map[string]entries) Input {
	t.Helper()
	recipe, err := LoadRecipe(os.DirFS(recipeDir))
	if err != nil {
		t.Fatal(err)
	}
	data := map[string][]byte{}
	l := lock.Lock{Version: lock.Version, Architecture: "amd64"}
	for _, name := range sortedKeys(packages) {
		deb := makePackage(t, packages[name])
		data[name] = deb
		l.Packages = append(l.Packages, lock.Package{Name: name, Version: "1", Architecture: "amd64", Size: int64(len(deb)),
			SHA256: fmt.Sprintf("%x", sha256.Sum256(deb)), Groups: []string{"image"}})
	}
	work := t.TempDir()
	return Input{Recipe: recipe, Lock: l, Locked: true, UnpackedDir: filepath.Join(work, "unpacked"), Out: filepath.Join(work, "out"),
		Init: []byte("INIT"), Wellcard: []byte("WELLCARD"), Formats: fakeFormats(), Tools: fakeTools,
		Open: func(p lock.Package) (unpacked.Source, error) { return openPackage{bytes.NewReader(data[p.Name])}, nil },
		Logf: t.Logf}
}

func paths(list []Content) map[string]Content {
	out := map[string]Content{}
	for _, c := range list {
		name, _, _ := strings.Cut(c.Path, " -> ")
		out[name] = c
	}
	return out
}

func names(dir string) []string {
	all, _ := os.ReadDir(dir)
	var out []string
	for _, e := range all {
		out = append(out, path.Base(e.Name()))
	}
	sort.Strings(out)
	return out
}

func octal(m uint32) string { return fmt.Sprintf("%04o", m) }

func number(n uint32) string { return fmt.Sprint(n) }

func sortedStrings(s []string) []string {
	sort.Strings(s)
	return s
}

func writeBelow(dir, name string, data []byte) error {
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		return err
	}
	return os.WriteFile(full, data, 0o666)
}
