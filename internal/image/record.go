package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/lock"
)

// The files of a build's folder.
const (
	DiskFile     = "wellcar.img"
	UKIFile      = "wellcar.uki.efi"
	BuildFile    = "build.json"
	ContentsFile = "contents.txt"
	LockFile     = "lock.json"
	RecipeFile   = "recipe.tar"
	ConfigFile   = "kernel.config"
)

// Record is what build.json records: what went in and what came out. Digests
// are SHA-256 in hexadecimal, sizes bytes.
type Record struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Board    string    `json:"board"`
	Platform string    `json:"platform,omitempty"` // that the image is for
	Locked   bool      `json:"locked"`             // every package is the lock's
	Kernel   string    `json:"kernel"`             // uname -r
	Cmdline  string    `json:"cmdline"`
	RootHash string    `json:"root_hash"`
	Usr      UsrRecord `json:"usr"`
	Initrd   FileSum   `json:"initrd"`
	UKI      FileSum   `json:"uki"`
	Inputs   Inputs    `json:"inputs"`
	Files    int       `json:"files"` // names in /usr
	Packages []Package `json:"packages"`
	Linked   []Package `json:"linked,omitempty"` // tools of which code is in the image: GRUB
}

// UsrRecord says where in the disk image the /usr image is.
type UsrRecord struct {
	Offset   int64 `json:"offset"`    // in wellcar.img
	DataSize int64 `json:"data_size"` // of the file system
	TreeSize int64 `json:"tree_size"` // of the verity superblock and tree after it
}

// FileSum is a size and a digest.
type FileSum struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Inputs are the digests of all that a build depends on.
type Inputs struct {
	Lock     string `json:"lock"`
	Recipe   string `json:"recipe"`
	Init     string `json:"init"`
	Wellcard string `json:"wellcard"`
}

// Package is one package of the image.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	Source       string `json:"source,omitempty"`
	SHA256       string `json:"sha256"`
}

// Content is one line of contents.txt.
type Content struct {
	Type   byte // d, f, l
	Mode   uint32
	UID    uint32
	GID    uint32
	Size   int64
	SHA256 string // of a file, else "-"
	Path   string // in the image, with " -> target" for a link
	Origin string // package id, or where else it came from
}

func (c Content) String() string {
	return fmt.Sprintf("%c %04o %d:%d %d %s %s\t%s", c.Type, c.Mode, c.UID, c.GID, c.Size, c.SHA256, c.Path, c.Origin)
}

func contents(tree *fstree.Tree) []Content {
	var out []Content
	for _, n := range tree.Nodes()[1:] {
		c := Content{Type: 'd', Mode: n.Mode, UID: n.UID, GID: n.GID, SHA256: "-", Path: n.Path, Origin: n.Origin}
		switch n.Kind {
		case fstree.File:
			c.Type, c.Size, c.SHA256 = 'f', n.Blob.Size, hex.EncodeToString(n.Blob.SHA256[:])
		case fstree.Symlink:
			c.Type, c.Path = 'l', n.Path+" -> "+n.Target
		}
		out = append(out, c)
	}
	return out
}

// output collects the files of a build under temporary names.
type output struct {
	dir   string
	tmp   string
	disk  *os.File
	files []string // ready in tmp, in the order of renaming
}

func newOutput(dir string) (*output, error) {
	tmp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return nil, fmt.Errorf("preparing the results: %w", err)
	}
	o := &output{dir: dir, tmp: tmp}
	_, size := place()
	if o.disk, err = os.Create(filepath.Join(tmp, DiskFile)); err == nil {
		err = o.disk.Truncate(size)
	}
	if err != nil {
		o.discard()
		return nil, fmt.Errorf("preparing the disk image: %w", err)
	}
	return o, nil
}

// discard removes what was not published.
func (o *output) discard() {
	if o.disk != nil {
		o.disk.Close()
	}
	os.RemoveAll(o.tmp)
}

func (o *output) put(name string, data []byte) error {
	o.files = append(o.files, name)
	return os.WriteFile(filepath.Join(o.tmp, name), data, 0o666)
}

// publish renames all files. build.json goes first and comes last, so that a
// folder with one is whole.
func (o *output) publish() error {
	if err := o.disk.Close(); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(o.dir, BuildFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, name := range append([]string{DiskFile}, o.files...) {
		if err := os.Rename(filepath.Join(o.tmp, name), filepath.Join(o.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// record writes the files beside the disk image and publishes everything.
func (b *builder) record(o *output, usr Usr, initrd, uki []byte) (Result, error) {
	locked, err := lock.Marshal(b.Lock)
	if err != nil {
		return Result{}, err
	}
	list := contents(b.tree.Sub("usr"))
	var text strings.Builder
	for _, c := range list {
		text.WriteString(c.String() + "\n")
	}
	var config []byte
	if n := b.tree.Get(b.modules.dir + "/config"); n != nil {
		if config, err = n.Blob.Bytes(); err != nil {
			return Result{}, fmt.Errorf("reading the kernel's options: %w", err)
		}
	}
	recipe := b.Recipe.Archive()
	build := b.describe(usr, len(list))
	sums := hashAll(initrd, uki, locked, recipe, b.Init, b.Wellcard)
	build.Initrd, build.UKI = FileSum{int64(len(initrd)), sums[0]}, FileSum{int64(len(uki)), sums[1]}
	build.Inputs = Inputs{sums[2], sums[3], sums[4], sums[5]}
	summary, err := json.MarshalIndent(build, "", " ")
	if err != nil {
		return Result{}, fmt.Errorf("recording the build: %w", err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{UKIFile, uki}, {ContentsFile, []byte(text.String())}, {LockFile, locked}, {RecipeFile, recipe}, {ConfigFile, config}, {BuildFile, append(summary, '\n')}} {
		if err := o.put(f.name, f.data); err != nil {
			return Result{}, fmt.Errorf("recording the build: %w", err)
		}
	}
	if err := o.publish(); err != nil {
		return Result{}, fmt.Errorf("publishing the build: %w", err)
	}
	return Result{Disk: filepath.Join(b.Out, DiskFile), UKI: filepath.Join(b.Out, UKIFile), Record: build, Contents: list}, nil
}

func (b *builder) describe(usr Usr, files int) Record {
	build := Record{Name: b.Recipe.Name, Version: b.Recipe.Version, Board: board, Platform: b.platform.ID, Locked: b.Locked, Kernel: b.merged.kernel.version,
		Cmdline: b.cmdline(usr.RootHash), RootHash: hex.EncodeToString(usr.RootHash[:]), Files: files,
		Usr: UsrRecord{partition(layout.UsrA).offset, usr.DataSize, usr.TreeSize}}
	for _, p := range b.Lock.Group("image") {
		build.Packages = append(build.Packages, packageOf(p))
	}
	for _, p := range b.Lock.Group("tools") {
		if p.Name == grubPackage && len(b.merged.grub) > 0 {
			build.Linked = append(build.Linked, packageOf(p))
		}
	}
	return build
}

func packageOf(p lock.Package) Package {
	return Package{p.Name, p.Version, p.Architecture, p.Source, p.SHA256}
}

// hashAll returns the digests of some byte strings, found side by side.
func hashAll(data ...[]byte) []string {
	out := make([]string, len(data))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i, d := range data {
		group.Go(func() error {
			sum := sha256.Sum256(d)
			out[i] = hex.EncodeToString(sum[:])
			return nil
		})
	}
	group.Wait() // none of them fails
	return out
}

// ReadRecord reads the build.json of a folder.
func ReadRecord(dir string) (Record, error) {
	data, err := os.ReadFile(filepath.Join(dir, BuildFile))
	if err != nil {
		return Record{}, fmt.Errorf("reading the build in %s: %w", dir, err)
	}
	var b Record
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&b); err != nil {
		return Record{}, fmt.Errorf("reading the build in %s: %w", dir, err)
	}
	return b, nil
}
