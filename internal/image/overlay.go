package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"wellcar.dev/internal/format/fstree"
)

// Mode is a set of permission bits, written in octal: 0644, 4755.
type Mode uint32

// UnmarshalYAML reads the digits as octal, whether quoted or not.
func (m *Mode) UnmarshalYAML(n *yaml.Node) error {
	v, err := strconv.ParseUint(strings.TrimPrefix(n.Value, "0o"), 8, 32)
	if err != nil || v > 0o7777 {
		return fmt.Errorf("line %d: mode %q is not octal between 0 and 7777", n.Line, n.Value)
	}
	*m = Mode(v)
	return nil
}

// NodeRule is an entry of nodes.yaml. A dir or symlink is made; a file gets
// the mode and owner, and is made empty if nothing brings it.
type NodeRule struct {
	Path   string  `yaml:"path"`
	Type   string  `yaml:"type"` // dir, symlink or file
	Mode   *Mode   `yaml:"mode"` // default 0755 for dir; a file keeps its own
	UID    *uint32 `yaml:"uid"`
	GID    *uint32 `yaml:"gid"`
	Target string  `yaml:"target"`
}

func checkNodes(rules []NodeRule, at yamlFile) []error {
	var faults []error
	for i, n := range rules {
		switch {
		case n.Path == "" || fstree.Clean(n.Path) != n.Path:
			faults = append(faults, at.errorf([]any{i}, "path %q is not a clean relative path", n.Path))
		case n.Type != "dir" && n.Type != "symlink" && n.Type != "file":
			faults = append(faults, at.errorf([]any{i}, "type %q of %s is not dir, symlink or file", n.Type, n.Path))
		case (n.Type == "symlink") != (n.Target != ""):
			faults = append(faults, at.errorf([]any{i}, "%s: a symlink, and only a symlink, has a target", n.Path))
		}
	}
	return faults
}

// OverlayFile is one file or link that is laid over the packages' tree.
type OverlayFile struct {
	Path   string // in the tree, as in overlay/
	Mode   uint32 // 0644 or 0755, or what overlay.yaml says
	Target string // of a symlink
	Data   []byte
}

// sourceFile is one file of the recipe's folder.
type sourceFile struct {
	path string
	exec bool
	link string
	data []byte
}

// readFolder reads the whole folder of a recipe, sorted by path. Only the
// executable bit of a file's mode counts, so that the umask does not.
// The lock is left out: a build records it apart.
func readFolder(dir fs.FS) ([]sourceFile, error) {
	var out []sourceFile
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "lock.json" {
			return err
		}
		f := sourceFile{path: name}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if f.exec = info.Mode()&0o100 != 0; info.Mode()&fs.ModeSymlink != 0 {
			f.exec = false
			f.link, err = fs.ReadLink(dir, name)
		} else {
			f.data, err = fs.ReadFile(dir, name)
		}
		out = append(out, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the recipe: %w", err)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].path < out[j].path })
	return out, nil
}

func loadOverlay(dir fs.FS, source []sourceFile) ([]OverlayFile, error) {
	var declared struct {
		Modes map[string]Mode `yaml:"modes"`
	}
	at, err := readOptionalYAML(dir, "overlay.yaml", &declared)
	if err != nil {
		return nil, err
	}
	var out []OverlayFile
	used := map[string]bool{}
	for _, f := range source {
		rel, ok := strings.CutPrefix(f.path, "overlay/")
		if !ok || path.Base(rel) == ".gitkeep" {
			continue
		}
		o := OverlayFile{Path: rel, Mode: 0o644, Target: f.link, Data: f.data}
		if f.exec {
			o.Mode = 0o755
		}
		if m, ok := declared.Modes[rel]; ok {
			o.Mode, used[rel] = uint32(m), true
		}
		out = append(out, o)
	}
	var faults []error
	for _, name := range sortedKeys(declared.Modes) {
		if !used[name] {
			faults = append(faults, at.errorf([]any{"modes", name}, "overlay/%s does not exist", name))
		}
	}
	return out, errors.Join(faults...)
}

// Archive is the recipe's folder as a tar file with the same bytes for the
// same content, to be recorded beside an image.
func (r Recipe) Archive() []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range r.source {
		h := &tar.Header{Name: f.path, Mode: 0o644, Size: int64(len(f.data)), Format: tar.FormatPAX, Typeflag: tar.TypeReg}
		if f.exec {
			h.Mode = 0o755
		}
		if f.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		}
		if err := w.WriteHeader(h); err != nil {
			panic("BUG: writing a tar header to memory: " + err.Error())
		}
		if _, err := w.Write(f.data); err != nil {
			panic("BUG: writing a tar to memory: " + err.Error())
		}
	}
	if err := w.Close(); err != nil {
		panic("BUG: closing a tar in memory: " + err.Error())
	}
	return buf.Bytes()
}

// Digest identifies the recipe: the SHA-256 of its archive.
func (r Recipe) Digest() [32]byte { return sha256.Sum256(r.Archive()) }

// UnpackRecipe writes the files of an archive made by Archive into an empty folder.
func UnpackRecipe(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpacking a recipe: %w", err)
	}
	defer root.Close()
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = unpackOne(root, h, r)
		}
		if err != nil {
			return fmt.Errorf("unpacking a recipe: %w", err)
		}
	}
}

func unpackOne(root *os.Root, h *tar.Header, content io.Reader) error {
	name := filepath.FromSlash(h.Name)
	if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeSymlink {
		return root.Symlink(h.Linkname, name)
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(h.Mode)|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
