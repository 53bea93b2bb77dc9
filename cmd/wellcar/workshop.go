package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"wellcar.dev/internal/archive"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/lock"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/sys/hermetic"
)

const (
	defaultRecipe = "image"
	defaultOut    = "out"
	lockName      = "lock.json" // in the recipe's folder
)

// The groups of the lock that verbs need.
var (
	imageGroups = []string{"image", "tools"} // of the tools, a build links the boot loader for a BIOS
	toolGroups  = []string{"tools"}
)

// workshop is what building needs: where recipe and results are and how the
// archive is reached. The zero value of a field means its default.
type workshop struct {
	recipeDir string
	version   string // instead of the recipe's
	platform  string // the same
	out       string
	archive   string // address flag
	policy    archive.Policy
	programs  string // folder of wellcar-init and wellcard; "" is this program's
	logf      func(format string, args ...any)
}

func (w *workshop) cache(report progress) (archive.Cache, archive.FetchOptions, error) {
	dir, err := cacheDir()
	if err != nil {
		return archive.Cache{}, archive.FetchOptions{}, err
	}
	mirror := archive.Addresses(w.archive, os.Getenv("WELLCAR_ARCHIVE"), archive.HostSources())
	if err := mirror.Check(); err != nil {
		return archive.Cache{}, archive.FetchOptions{}, withCode(exitUsage, err)
	}
	o := archive.FetchOptions{Logf: w.logf}
	if report != nil {
		o.Progress = func(p archive.Progress) { report("archive", p.Done, p.Total) }
	}
	return archive.Cache{Dir: dir, Client: archive.Client{Mirror: mirror}}, o, nil
}

func (w *workshop) recipe() (image.Recipe, error) {
	r, err := image.LoadRecipe(os.DirFS(w.recipeDir))
	if err != nil {
		return r, fmt.Errorf("reading the recipe in %s: %w", w.recipeDir, err)
	}
	if w.version != "" && !release.ValidVersion(w.version) {
		return r, withCode(exitUsage, fmt.Errorf("--version %q: write three numbers without leading zeros, such as 1.2.3", w.version))
	}
	r.Version, r.Platform = cmp.Or(w.version, r.Version), cmp.Or(w.platform, r.Platform)
	if _, err := r.For(); err != nil { // a recipe's own was checked
		return r, withCode(exitUsage, fmt.Errorf("--platform: %w", err))
	}
	return r, nil
}

func (w *workshop) lock() (lock.Lock, error) {
	name := filepath.Join(w.recipeDir, lockName)
	data, err := os.ReadFile(name)
	if err != nil {
		return lock.Lock{}, fmt.Errorf("reading the lock: %w; make it with wellcar lock", err)
	}
	l, err := lock.Parse(data)
	if err != nil {
		return lock.Lock{}, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// fetch gets the packages of some groups.
func (w *workshop) fetch(ctx context.Context, report progress, groups []string) (archive.Fetched, error) {
	l, err := w.lock()
	if err != nil {
		return archive.Fetched{}, err
	}
	return w.fetchLocked(ctx, report, l, groups)
}

func (w *workshop) fetchLocked(ctx context.Context, report progress, l lock.Lock, groups []string) (archive.Fetched, error) {
	cache, o, err := w.cache(report)
	if err != nil {
		return archive.Fetched{}, err
	}
	got, err := cache.FetchLocked(ctx, l, groups, w.policy, o)
	for _, change := range got.Replaced {
		w.log("not locked: %s", change)
	}
	return got, err
}

func (w *workshop) log(format string, args ...any) {
	if w.logf != nil {
		w.logf(format, args...)
	}
}

// toolSet unpacks the tools of the lock into the cache, once per set.
func (w *workshop) toolSet(ctx context.Context, report progress) (hermetic.Set, error) {
	got, err := w.fetch(ctx, report, toolGroups)
	if err != nil {
		return hermetic.Set{}, err
	}
	dir, err := cacheDir()
	if err != nil {
		return hermetic.Set{}, err
	}
	digest := sha256.New()
	var debs []string
	for _, p := range got.Lock.Group("tools") {
		digest.Write([]byte(p.SHA256 + "\n"))
		debs = append(debs, got.Paths[p.SHA256])
	}
	set := hermetic.Set{Dir: filepath.Join(dir, "tools", hex.EncodeToString(digest.Sum(nil))[:16])}
	if err := archive.Unpack(ctx, debs, set.Dir); err != nil {
		return hermetic.Set{}, fmt.Errorf("unpacking the tools: %w", err)
	}
	return set, nil
}

// containerGroups are the groups of all containers.
func containerGroups(r image.Recipe) []string {
	var groups []string
	for name := range r.Containers {
		groups = append(groups, "container-"+name)
	}
	return groups
}

// input gathers what the image engine reads: recipe, packages and caches.
func (w *workshop) input(ctx context.Context, report progress, groups func(image.Recipe) []string) (image.Input, error) {
	r, err := w.recipe()
	if err != nil {
		return image.Input{}, err
	}
	l, err := w.lock()
	if err != nil {
		return image.Input{}, err
	}
	return w.inputOf(ctx, report, r, l, groups(r))
}

func (w *workshop) inputOf(ctx context.Context, report progress, r image.Recipe, l lock.Lock, groups []string) (image.Input, error) {
	got, err := w.fetchLocked(ctx, report, l, groups)
	if err != nil {
		return image.Input{}, err
	}
	dir, err := cacheDir()
	if err != nil {
		return image.Input{}, err
	}
	code, err := codeDigest()
	if err != nil {
		return image.Input{}, err
	}
	in := image.Input{
		Recipe: r, Lock: got.Lock, Locked: len(got.Replaced) == 0,
		Open: func(p lock.Package) (unpacked.Source, error) {
			return os.Open(got.Paths[p.SHA256])
		},
		UnpackedDir: filepath.Join(dir, "unpacked"),
		Code:        code,
		Formats:     image.StandardFormats(),
		Logf:        w.logf,
	}
	if report != nil {
		in.Progress = func(phase string, done, total int64) { report(phase, done, total) }
	}
	return in, nil
}

// codeDigest is the digest of the running program, for the keys of what it
// keeps.
func codeDigest() ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	f, err := os.Open(self)
	if err != nil {
		return nil, fmt.Errorf("reading this program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("reading this program: %w", err)
	}
	return h.Sum(nil), nil
}

// buildImage builds into out, with the time of each phase.
func (w *workshop) buildImage(ctx context.Context, report progress, in image.Input, out string) (image.Result, []qemu.Span, error) {
	set, err := w.toolSet(ctx, report)
	if err != nil {
		return image.Result{}, nil, err
	}
	in.Tools, in.Out = image.StandardTools(set), out
	if in.Init, in.Wellcard, err = w.readPrograms(); err != nil {
		return image.Result{}, nil, err
	}
	var mu sync.Mutex
	var spans []qemu.Span
	in.Trace = func(phase string, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		spans = append(spans, qemu.Span{Name: phase, Took: took})
	}
	result, err := image.Build(ctx, in)
	return result, spans, err
}

// readPrograms reads the two programs that go into the image; they lie beside
// this one.
func (w *workshop) readPrograms() (initrd, wellcard []byte, err error) {
	dir := w.programs
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, nil, fmt.Errorf("finding this program: %w", err)
		}
		dir = filepath.Dir(self)
	}
	if initrd, err = os.ReadFile(filepath.Join(dir, "wellcar-init")); err == nil {
		wellcard, err = os.ReadFile(filepath.Join(dir, "wellcard"))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the programs of the image: %w; build them with make build", err)
	}
	return initrd, wellcard, nil
}

// layOver adds the regular files of a folder to a tree. A folder that does
// not exist adds nothing.
func layOver(tree *fstree.Tree, dir fs.FS) error {
	return ignoreAbsent(fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n, err := overlayNode(dir, name, d)
		if err != nil {
			return err
		}
		return tree.Put(n)
	}))
}

// overlayNode is a file or a symbolic link of an overlay. Git keeps of the
// mode only whether a file can be run.
func overlayNode(dir fs.FS, name string, d fs.DirEntry) (fstree.Node, error) {
	if d.Type() == fs.ModeSymlink {
		target, err := fs.ReadLink(dir, name)
		return fstree.Node{Path: name, Kind: fstree.Symlink, Mode: 0o777, Target: target, Origin: "overlay"}, err
	}
	data, err := fs.ReadFile(dir, name)
	if err != nil {
		return fstree.Node{}, err
	}
	mode := uint32(0o644)
	if info, err := d.Info(); err == nil && info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return fstree.Node{Path: name, Kind: fstree.File, Mode: mode, Blob: fstree.BytesBlob(data), Origin: "overlay"}, nil
}

// groupWants are the groups that a recipe asks the archive for.
func groupWants(r image.Recipe) map[string][]string {
	want := map[string][]string{"image": r.Packages, "tools": r.Tools}
	for name, c := range r.Containers {
		want["container-"+name] = c.Packages
	}
	return want
}

func seconds(d time.Duration) string {
	return strings.TrimSuffix(fmt.Sprintf("%.2fs", d.Seconds()), "")
}
