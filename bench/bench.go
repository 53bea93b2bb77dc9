package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"wellcar.dev/internal/archive"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/qemu"
)

// session is one run of the benchmarks.
type session struct {
	options
	wellcar, peer *series
	facts         []fact
	machines      boots
	work          workload
	key           qemu.Key
	keyFile       string
}

// bench measures and prints. That a target is missed is no error.
func bench(ctx context.Context, o options) error {
	s := &session{options: o, wellcar: newSeries(), peer: newSeries(), facts: machineFacts()}
	if err := s.prepare(); err != nil {
		return err
	}
	s.provision(ctx)
	ours, err := s.buildWellcar(ctx)
	if err != nil {
		s.wellcar.skipAll(err.Error())
	}
	theirs := ""
	if !o.peer {
		s.peer.skipAll("switched off by -mkosi=false")
	} else if theirs, err = s.buildPeer(ctx); err != nil {
		s.peer.skipAll(err.Error())
	}
	s.boot(ctx, ours, theirs)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r := report{Facts: s.facts, Measures: rows()}
	fill(r.Measures, s.wellcar, s.peer)
	if o.json {
		return r.writeJSON(os.Stdout)
	}
	return r.writeText(os.Stdout)
}

// prepare writes the workload's config and the key to log in with.
func (s *session) prepare() error {
	dir := filepath.Join(s.cache, "bench", "boot")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var config []byte
	var err error
	if s.work, config, err = loadWorkload(s.config); err != nil {
		return err
	}
	if s.key, err = qemu.NewKey("bench"); err != nil {
		return err
	}
	s.keyFile = filepath.Join(dir, "key")
	s.machines = boots{program: s.program, config: filepath.Join(dir, "workload.bu"), dir: dir, env: append(os.Environ(), "WELLCAR_CACHE="+s.cache)}
	return errors.Join(os.WriteFile(s.machines.config, config, 0o644), os.WriteFile(s.keyFile, s.key.PEM, 0o600))
}

// buildWellcar measures the builds and returns the path of the disk image, or
// "" if there is none.
func (s *session) buildWellcar(ctx context.Context) (string, error) {
	s.say("wellcar: filling the cache (a build that does not count)")
	w, err := newWellcar(ctx, s.program, s.recipe, s.cache, filepath.Join(s.cache, "bench", "wellcar"))
	if err != nil {
		return "", err
	}
	for i := range s.runs {
		s.say("wellcar: builds %d of %d", i+1, s.runs)
		if err := w.measure(ctx, s.wellcar, i); err != nil {
			return "", err
		}
	}
	return w.disk, nil
}

// buildPeer is buildWellcar for mkosi.
func (s *session) buildPeer(ctx context.Context) (string, error) {
	recipe, err := image.LoadRecipe(os.DirFS(s.recipe))
	if err != nil {
		return "", err
	}
	mirror := archive.Addresses(s.archive, "", archive.HostSources())
	cache := archive.Cache{Dir: s.cache, Client: archive.Client{Mirror: mirror}}
	s.peer.skipRow(rowPlan, "mkosi has no plan")
	p, err := newPeer(ctx, cache, recipe, s.work, s.key.Line+"\n", s.say)
	if err != nil {
		return "", err
	}
	s.facts = append(s.facts, fact{"mkosi", p.shop.version})
	for i := range s.runs {
		s.say("mkosi: builds %d of %d", i+1, s.runs)
		if err := p.measure(ctx, s.peer, i); err != nil {
			return "", err
		}
	}
	return p.diskImage(), nil
}

// boot starts both images in turn, so that they meet the same conditions.
func (s *session) boot(ctx context.Context, ours, theirs string) {
	if !s.boots {
		for _, both := range []*series{s.wellcar, s.peer} {
			both.skipRows("switched off by -boot=false", rowLogin, rowDocker, rowContainer, rowProvision)
		}
		return
	}
	for i := range s.runs {
		if ours != "" {
			s.say("wellcar: boot %d of %d", i+1, s.runs)
			s.machines.measure(ctx, s.wellcar, "wellcar", ours, "")
		}
		if theirs != "" {
			s.say("mkosi: boot %d of %d", i+1, s.runs)
			s.machines.measure(ctx, s.peer, "mkosi", theirs, s.keyFile)
		}
	}
}

func (s *session) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// machineFacts describe the machine that everything is measured on.
func machineFacts() []fact {
	facts := []fact{{"processors", fmt.Sprint(runtime.NumCPU())}, {"accelerator", "TCG, 2 virtual processors, 2048 MiB"}}
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return facts // not Linux
	}
	return append(facts, fact{"load average at the start", busy(string(data), runtime.NumCPU())})
}

// busy reads the first number of /proc/loadavg and warns if other work takes
// more than a quarter of the processors.
func busy(loadavg string, processors int) string {
	text, _, _ := strings.Cut(loadavg, " ")
	if load, err := strconv.ParseFloat(text, 64); err == nil && load > float64(processors)/4 {
		return text + " (other work runs here: all times are too long, and ratios are rough)"
	}
	return text
}
