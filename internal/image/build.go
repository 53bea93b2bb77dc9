package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/check"
	"wellcar.dev/internal/image/derived"
	"wellcar.dev/internal/image/glob"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/lock"
)

// Input is what a build is made from and where it goes.
type Input struct {
	Recipe Recipe
	Lock   lock.Lock
	Locked bool // all packages are those of the lock; recorded only
	// Open opens the .deb of a package; it is called only for packages that
	// are not in the unpacked cache, by several goroutines.
	Open        func(p lock.Package) (unpacked.Source, error)
	UnpackedDir string // cache of unpacked packages
	DerivedDir  string // cache of derived files; default "derived" beside UnpackedDir
	Out         string // folder of the results
	Init        []byte // wellcar-init, for the initrd
	Wellcard    []byte // for /usr/bin/wellcard
	Code        []byte // what the running program is, such as its digest: part of every key of the cache of derived files, of no result
	Formats     Formats
	Tools       Tools
	Parallel    int // 0 means one per CPU

	// These may be nil. Progress counts bytes and is called by one goroutine
	// at a time; Trace gets the time of each phase when it ends.
	Progress func(phase string, done, total int64)
	Logf     func(format string, args ...any)
	Trace    func(phase string, took time.Duration)
}

// Result describes what a build wrote.
type Result struct {
	Disk     string // path of the disk image
	UKI      string // path of the unified kernel image
	Record   Record // as recorded in build.json
	Contents []Content
}

const board = "amd64-usr"

// builder carries one build through its phases.
type builder struct {
	Input
	platform layout.Platform // the zero value: for none
	pkgs     []*unpacked.Package
	grub     []*unpacked.Package
	merged   *merged
	tree     *fstree.Tree
	facts    map[[32]byte]unpacked.Facts
	derived  derived.Cache
	modules  moduleIndex
}

// Build makes a disk image. All that it writes to Out appears under its final
// name only when it is whole; build.json is the last.
func Build(ctx context.Context, in Input) (Result, error) {
	b, err := prepare(in)
	if err != nil {
		return Result{}, err
	}
	defer b.close()
	for _, phase := range []struct {
		name string
		run  func(context.Context) error
	}{{"unpack", b.unpack}, {"tree", b.makeTree}, {"finish", b.finish}} {
		if err := b.phase(ctx, phase.name, phase.run); err != nil {
			return Result{}, err
		}
	}
	return b.write(ctx)
}

func prepare(in Input) (*builder, error) {
	b := &builder{Input: in}
	if b.Parallel <= 0 {
		b.Parallel = runtime.NumCPU()
	}
	if b.DerivedDir == "" {
		b.DerivedDir = filepath.Join(filepath.Dir(b.UnpackedDir), "derived")
	}
	b.derived = derived.Cache{Dir: b.DerivedDir, Code: b.Code}
	if b.Logf == nil {
		b.Logf = func(string, ...any) {}
	}
	if len(b.Lock.Group("image")) == 0 {
		return nil, errors.New("building the image: the lock has no packages of the group image")
	}
	var err error
	if b.platform, err = b.Recipe.For(); err == nil {
		err = os.MkdirAll(b.Out, 0o777)
	}
	if err != nil {
		return nil, fmt.Errorf("building the image: %w", err)
	}
	return b, nil
}

func (b *builder) close() {
	for _, p := range append(b.grub, b.pkgs...) {
		if p != nil {
			p.Close()
		}
	}
}

// phase runs a part of the build and reports its time.
func (b *builder) phase(ctx context.Context, name string, run func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	err := run(ctx)
	if b.Trace != nil {
		b.Trace(name, time.Since(start))
	}
	return err
}

// unpack fills the cache and opens the packages of the image.
func (b *builder) unpack(ctx context.Context) error {
	cache := b.unpacked()
	jobs, err := b.jobs("image")
	if err != nil {
		return err
	}
	grub, err := b.grubJobs()
	if err != nil {
		return err
	}
	progress := func(done, total int64) {
		if b.Progress != nil {
			b.Progress("unpack", done, total)
		}
	}
	if err := cache.Fill(ctx, append(grub, jobs...), b.Parallel, progress); err != nil {
		return err
	}
	if b.grub, err = cache.OpenAll(grub, b.Parallel); err != nil {
		return err
	}
	b.pkgs, err = cache.OpenAll(jobs, b.Parallel)
	return err
}

// unpacked is the cache of unpacked packages.
func (in Input) unpacked() unpacked.Cache {
	return unpacked.Cache{Dir: in.UnpackedDir, Extract: in.Formats.Extract}
}

// jobs are the cache entries for the packages of a group of the lock. The
// kernel is unpacked without the modules that the recipe leaves out, because
// these are most of the work; its key says which.
func (b *builder) jobs(group string) ([]unpacked.Job, error) {
	kernel, err := regexp.Compile(b.Recipe.Kernel.Package)
	if err != nil {
		return nil, fmt.Errorf("reading the recipe's kernel package: %w", err)
	}
	keep, digest, err := b.Recipe.Modules.filter()
	if err != nil {
		return nil, err
	}
	var jobs []unpacked.Job
	for _, p := range b.Lock.Group(group) {
		j := unpacked.Job{ID: p.ID(), Key: fmt.Sprintf("%s-%d", p.SHA256, unpacked.Version), Size: p.Size,
			Open: func() (unpacked.Source, error) { return b.Open(p) }}
		if kernel.MatchString(p.Name) {
			j.Keep, j.Key = keep, j.Key+"-"+digest
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

const modulesDir = "usr/lib/modules/"

// filter is the rule for paths of the kernel package, and its short digest.
func (m ModuleRules) filter() (keep func(string) bool, digest string, err error) {
	patterns := append([]string(nil), m.Remove...)
	for _, k := range m.Keep {
		patterns = append(patterns, "!"+k)
	}
	remove, err := glob.CompileList(patterns)
	if err != nil {
		return nil, "", fmt.Errorf("reading the recipe's modules: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.Join(patterns, "\n")))
	return func(name string) bool {
		rel, ok := strings.CutPrefix(name, modulesDir)
		_, rel, below := strings.Cut(rel, "/")
		return !ok || !below || !strings.HasSuffix(rel, ".ko") || !remove.Match(rel)
	}, hex.EncodeToString(sum[:6]), nil
}

// makeTree joins the packages and lays the recipe over them.
func (b *builder) makeTree(context.Context) error {
	remove, err := glob.CompileList(b.Recipe.Remove)
	if err != nil {
		return fmt.Errorf("reading the recipe's remove list: %w", err)
	}
	kernel, err := regexp.Compile(b.Recipe.Kernel.Package)
	if err != nil {
		return fmt.Errorf("reading the recipe's kernel package: %w", err)
	}
	if b.merged, err = mergePackages(b.pkgs, remove, kernel); err != nil {
		return err
	}
	b.tree, b.facts = b.merged.tree, b.merged.facts
	b.merged.keepGRUB(b.grub)
	for _, d := range b.merged.dropped {
		b.Logf("left out: %s", d)
	}
	if b.merged.kernel.version == "" {
		return fmt.Errorf("making the tree: no package that matches %q brings a kernel (boot/vmlinuz-VERSION)", b.Recipe.Kernel.Package)
	}
	if b.merged.stub == nil {
		return fmt.Errorf("making the tree: no package brings %s", stubPath)
	}
	return layOver(b.tree, b.Recipe, map[string][]byte{"usr/bin/wellcard": b.Wellcard})
}

// examine adds the facts of files that came from no package.
func (b *builder) examine() {
	for _, n := range b.tree.Nodes() {
		if n.Kind != fstree.File || strings.Contains(n.Origin, "_") && !strings.HasPrefix(n.Origin, "overlay/") {
			continue
		}
		if _, known := b.facts[n.Blob.SHA256]; !known && n.Blob.Size > 0 {
			b.facts[n.Blob.SHA256] = unpacked.Examine(n.Blob)
		}
	}
}

func (b *builder) check(context.Context) error {
	b.examine()
	faults, err := check.Tree(b.tree, b.facts, check.Rules{Setuid: b.Recipe.Setuid, FileSize: b.Recipe.Budget.File})
	if err != nil {
		return err
	}
	faults = append(faults, b.modules.unmet()...)
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// write makes the /usr image and what depends on it. What does not depend on
// each other is done side by side.
func (b *builder) write(ctx context.Context) (Result, error) {
	o, err := newOutput(b.Out)
	if err != nil {
		return Result{}, err
	}
	defer o.discard()
	var initrd []byte
	var oem derived.Files
	var usr Usr
	group, side := errgroup.WithContext(ctx)
	run := func(name string, f func(context.Context) error) {
		group.Go(func() error { return b.phase(side, name, f) })
	}
	run("check", b.check)
	run("initrd", func(ctx context.Context) (err error) { initrd, err = b.makeInitrd(ctx); return err })
	run("oem", func(ctx context.Context) (err error) { oem, err = b.makeOEM(ctx); return err })
	run("usr", func(ctx context.Context) (err error) { usr, err = b.writeUsr(ctx, o.disk); return err })
	if err := group.Wait(); err != nil {
		return Result{}, err
	}
	var result Result
	err = b.phase(ctx, "disk", func(ctx context.Context) error {
		uki, err := b.makeUKI(usr.RootHash, initrd)
		if err != nil {
			return err
		}
		if err := b.checkBudget(usr, len(initrd), len(uki)); err != nil {
			return err
		}
		if err := b.writeDisk(ctx, o.disk, usr, uki, oem); err != nil {
			return err
		}
		result, err = b.record(o, usr, initrd, uki)
		return err
	})
	return result, err
}

func (b *builder) checkBudget(usr Usr, initrd, uki int) error {
	var faults []error
	for _, c := range []struct {
		what       string
		got, limit int64
	}{
		{"/usr image with its verity tree", usr.DataSize + usr.TreeSize, b.Recipe.Budget.Usr},
		{"initrd", int64(initrd), b.Recipe.Budget.Initrd},
		{"unified kernel image", int64(uki), b.Recipe.Budget.UKI},
	} {
		if c.limit > 0 && c.got > c.limit {
			faults = append(faults, fmt.Errorf("checking the budget: the %s has %d bytes, %d more than the recipe allows", c.what, c.got, c.got-c.limit))
		}
	}
	return errors.Join(faults...)
}
