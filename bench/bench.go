package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
	if err := s.measureWellcar(ctx); err != nil {
		s.wellcar.skipAll(err.Error())
	}
	if !o.peer {
		s.peer.skipAll("switched off by -mkosi=false")
	} else if err := s.measurePeer(ctx); err != nil {
		s.peer.skipAll(err.Error())
	}
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

func (s *session) measureWellcar(ctx context.Context) error {
	s.say("wellcar: filling the cache (a build that does not count)")
	w, err := newWellcar(ctx, s.program, s.recipe, s.cache, filepath.Join(s.cache, "bench", "wellcar"))
	if err != nil {
		return err
	}
	for i := range s.runs {
		s.say("wellcar: run %d of %d", i+1, s.runs)
		if err := w.measure(ctx, s.wellcar, i); err != nil {
			return err
		}
		s.boot(ctx, s.wellcar, "wellcar", w.disk, "")
	}
	return nil
}

func (s *session) measurePeer(ctx context.Context) error {
	recipe, err := image.LoadRecipe(os.DirFS(s.recipe))
	if err != nil {
		return err
	}
	mirror := archive.Addresses(s.archive, "", archive.HostSources())
	cache := archive.Cache{Dir: s.cache, Client: archive.Client{Mirror: mirror}}
	p, err := newPeer(ctx, cache, recipe, s.work, s.key.Line+"\n", s.say)
	if err != nil {
		return err
	}
	s.facts = append(s.facts, fact{"mkosi", p.shop.version})
	for i := range s.runs {
		s.say("mkosi: run %d of %d", i+1, s.runs)
		if err := p.measure(ctx, s.peer, i); err != nil {
			return err
		}
		s.boot(ctx, s.peer, "mkosi", p.diskImage(), s.keyFile)
	}
	return nil
}

func (s *session) boot(ctx context.Context, to *series, name, disk, key string) {
	if !s.boots {
		to.skipAll("switched off by -boot=false")
		return
	}
	s.machines.measure(ctx, to, name, disk, key)
}

func (s *session) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// machineFacts describe the machine that everything was measured on.
func machineFacts() []fact {
	facts := []fact{{"processors", fmt.Sprint(runtime.NumCPU())}, {"accelerator", "TCG, 2 virtual processors, 2048 MiB"}}
	if load := loadAverage(); load != "" {
		facts = append(facts, fact{"load average at the start", load})
	}
	return facts
}

// loadAverage is that of the last minute where the system tells it.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	load, _, _ := strings.Cut(string(data), " ")
	return load
}
