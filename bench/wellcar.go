package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// wellcar builds images with the wellcar program from a copy of the recipe, so
// that a file of it can be changed.
type wellcar struct {
	program string // bin/wellcar, absolute
	cache   string // the real cache: packages, indexes, tools
	dir     string // for the copy, the fresh caches and what is built
	disk    string // image of the last build
}

// shared are the parts of the cache that hold what was downloaded.
var shared = []string{"packages", "indexes"}

// newWellcar copies the recipe and fills the cache with a build that does not
// count.
func newWellcar(ctx context.Context, program, recipe, cache, dir string) (*wellcar, error) {
	w := &wellcar{program: program, cache: cache, dir: dir}
	if err := os.RemoveAll(w.dir); err != nil {
		return nil, err
	}
	if err := os.CopyFS(w.recipe(), os.DirFS(recipe)); err != nil {
		return nil, fmt.Errorf("copying the recipe: %w", err)
	}
	if _, _, err := w.build(ctx, cache, "warm"); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *wellcar) recipe() string { return filepath.Join(w.dir, "image") }
func (w *wellcar) out() string    { return filepath.Join(w.dir, "out") }

// buildArgs are the words of `wellcar build`.
func (w *wellcar) buildArgs() []string {
	return []string{"build", "--recipe", w.recipe(), "--out", w.out(), "--json"}
}

func (w *wellcar) build(ctx context.Context, cache, log string) (usage, built, error) {
	cmd := exec.CommandContext(ctx, w.program, w.buildArgs()...)
	cmd.Env = append(os.Environ(), "WELLCAR_CACHE="+cache)
	u, out, err := run(ctx, cmd, filepath.Join(w.dir, "log", log))
	if err != nil {
		return u, built{}, err
	}
	b, err := parseBuilt(parseEvents(out))
	return u, b, err
}

// freshCache is a cache with the downloads of the real one and nothing else.
func (w *wellcar) freshCache() (string, error) {
	dir := filepath.Join(w.dir, "cache")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, sub := range shared {
		if err := os.Symlink(filepath.Join(w.cache, sub), filepath.Join(dir, sub)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// measure builds with a fresh cache, then again after a change.
func (w *wellcar) measure(ctx context.Context, s *series, round int) error {
	cache, err := w.freshCache()
	if err != nil {
		return fmt.Errorf("making a fresh cache: %w", err)
	}
	u, _, err := w.build(ctx, cache, "build")
	if err != nil {
		return err
	}
	s.addBuild(u)
	changed := filepath.Join(w.recipe(), "overlay/etc/environment")
	if err := appendLine(changed, fmt.Sprintf("# bench %d\n", round)); err != nil {
		return fmt.Errorf("changing an overlay file: %w", err)
	}
	u, b, err := w.build(ctx, cache, "rebuild")
	if err != nil {
		return err
	}
	s.add(rowRebuild, u.wall.Seconds())
	s.add(rowUKI, b.uki)
	stored, err := storedBytes(b.disk)
	if err != nil {
		return err
	}
	s.add(rowImage, float64(stored))
	w.disk = b.disk
	return w.plan(ctx, s, b.disk)
}

// addBuild adds the rows of a full build.
func (s *series) addBuild(u usage) {
	s.add(rowBuild, u.wall.Seconds())
	s.add(rowCPU, u.cpu.Seconds())
	s.add(rowMemory, float64(u.memory))
}

func appendLine(file, line string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
