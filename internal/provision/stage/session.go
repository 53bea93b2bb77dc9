package stage

import (
	"context"
	"errors"
	"fmt"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
)

// Session is one process's share of provisioning.
type Session struct {
	Files
	// Base finds the configs that lie below the user's, in the order in which
	// they are laid over each other.
	Base func(ctx context.Context) ([]platform.Found, error)
	// User finds the user's config. Offline it may not use a network, and says
	// provision.ErrNeedsNetwork if it must.
	User func(ctx context.Context, offline bool) (platform.Found, error)
	// Fetcher gets what configs refer to. May be nil, and may return nil:
	// then only what is embedded is to be had.
	Fetcher func(offline bool) provision.Fetcher
	// Target opens the machine for some stages. Run sets its State and Fetch.
	Target func(stages []provision.Stage) (provision.Target, error)
	// Facts looks at the machine.
	Facts func(ctx context.Context, c provision.Config, t provision.Target) (provision.Facts, error)

	// Each of the following may be nil.

	Read    func(name string, text []byte)                     // hears of each text before it is parsed
	Fetched func(provision.FetchedConfig)                      // hears of each config that was read
	Note    func(provision.Problem)                            // hears of what is worth telling and stops nothing
	Begin   func(p provision.Plan, s []provision.Stage) error  // hears of a plan before its steps; an error ends it
	Before  func(p provision.Plan, s provision.Stage) error    // hears of each stage before its steps; an error ends it
	Ended   func(s provision.Stage, err error)                 // hears of the end of each stage
	Config  func(user provision.Config, full provision.Config) // hears of the config, and of it over the base

	state   provision.State
	base    *provision.Config
	user    *provision.Config
	waiting bool
	restart bool
}

// Waiting tells whether the last Run stopped because a network is needed.
func (s *Session) Waiting() bool { return s.waiting }

// Restarting tells whether the last Run stopped because the machine must restart.
func (s *Session) Restarting() bool { return s.restart }

// Run carries out stages, which must be in their order.
func (s *Session) Run(ctx context.Context, stages ...provision.Stage) error {
	state, err := s.loadState()
	if err != nil {
		return err
	}
	s.state, s.waiting, s.restart = state, false, false
	if err := s.stages(ctx, stages); err != nil {
		return err
	}
	return s.saveState(&s.state)
}

func (s *Session) stages(ctx context.Context, stages []provision.Stage) error {
	for i, stage := range stages {
		var err error
		switch {
		case stage == provision.StageFetchOffline:
			err = s.fetchOffline(ctx)
		case stage == provision.StageFetch && s.user != nil:
			continue
		case stage == provision.StageFetch:
			err = s.fetch(ctx, false)
		default:
			return s.apply(ctx, stages[i:])
		}
		s.ended(stage, err)
		if err != nil || s.waiting {
			return err
		}
	}
	return nil
}

func (s *Session) ended(stage provision.Stage, err error) {
	if s.Ended != nil {
		s.Ended(stage, err)
	}
}

// fetchOffline ends the run if a network is needed, for the config itself or
// for something that it names.
func (s *Session) fetchOffline(ctx context.Context) error {
	err := s.fetch(ctx, true)
	if err == nil {
		s.waiting = provision.NeedsNetwork(*s.user)
	} else if errors.Is(err, provision.ErrNeedsNetwork) {
		s.waiting, err = true, nil
	}
	if s.waiting {
		return s.flagNetwork()
	}
	return err
}

// fetch finds, reads and completes the user's config and keeps it.
func (s *Session) fetch(ctx context.Context, offline bool) error {
	s.state.FetchedConfigs = nil
	base, err := s.loadBase(ctx)
	if err != nil {
		return err
	}
	found, err := s.User(ctx, offline)
	if err != nil {
		return err
	}
	s.state.ProviderOutputFiles = provision.OutputFiles(found.Output)
	user, err := s.read(found)
	if err != nil {
		return err
	}
	if user.Provided() {
		s.fetched("user", found.Name, false)
		user, err = s.complete(ctx, user, offline)
		if err != nil {
			return err
		}
	} else {
		user = provision.Empty(found.Name)
	}
	s.state.Places = user.Places()
	s.user = &user
	s.tellConfig(base)
	return s.saveCache(user)
}

func (s *Session) complete(ctx context.Context, user provision.Config, offline bool) (provision.Config, error) {
	out, report := user.Render(ctx, s.fetcher(offline))
	if err := s.tell(report); err != nil {
		return user, err
	}
	for _, address := range out.Referenced {
		s.fetched("user", address, true)
	}
	return out, nil
}

func (s *Session) fetcher(offline bool) provision.Fetcher {
	if s.Fetcher == nil {
		return nil
	}
	return s.Fetcher(offline)
}

func (s *Session) fetched(kind, source string, referenced bool) {
	c := provision.FetchedConfig{Kind: kind, Source: source, Referenced: referenced}
	s.state.FetchedConfigs = append(s.state.FetchedConfigs, c)
	if s.Fetched != nil {
		s.Fetched(c)
	}
}

// loadBase reads the base configs, once.
func (s *Session) loadBase(ctx context.Context) (provision.Config, error) {
	if s.base != nil {
		return *s.base, nil
	}
	found, err := s.Base(ctx)
	if err != nil {
		return provision.Config{}, err
	}
	var base provision.Config
	for _, f := range found {
		c, err := s.read(f)
		if err != nil {
			return c, err
		}
		if c.Provided() {
			s.fetched("base", f.Name, false)
		}
		base = provision.Merge(base, c.WithoutReferences())
	}
	base.UserProvided = false
	s.base = &base
	return base, nil
}

// read parses a text.
func (s *Session) read(f platform.Found) (provision.Config, error) {
	var opt provision.LoadOptions
	s.heard(f.Name, f.Data)
	if len(f.Source) > 0 {
		source, err := provision.DecodeSource(f.Source)
		if err != nil {
			s.note(provision.Problem{Severity: provision.Warning, Message: err.Error()})
		} else {
			opt.Source = source
			s.heard(source.Name, []byte(source.Text))
		}
	}
	c, report := provision.Load(f.Name, f.Data, opt)
	return c, s.tell(report)
}

func (s *Session) heard(name string, text []byte) {
	if s.Read != nil {
		s.Read(name, text)
	}
}

// tell tells what stops nothing, and returns what does as an error.
func (s *Session) tell(report provision.Report) error {
	if err := report.Err(); err != nil {
		return err
	}
	for _, p := range report {
		s.note(p)
	}
	return nil
}

func (s *Session) note(p provision.Problem) {
	if s.Note != nil {
		s.Note(p)
	}
}

// full is the user's config over the base.
func (s *Session) full(ctx context.Context) (provision.Config, error) {
	before := s.state.FetchedConfigs
	base, err := s.loadBase(ctx)
	if len(before) > 0 {
		s.state.FetchedConfigs = before // they tell of the base already
	}
	if err != nil {
		return base, err
	}
	if s.user == nil {
		user, err := s.loadCache(s.state)
		if err != nil {
			return user, err
		}
		s.user = &user
		s.tellConfig(base)
	}
	base, err = provision.AddFiles(base, "the platform", s.state.ProviderOutputFiles)
	if err != nil {
		return base, err
	}
	out := provision.Merge(base, *s.user)
	out.UserProvided = s.user.UserProvided
	return out, nil
}

func (s *Session) tellConfig(base provision.Config) {
	if s.Config != nil {
		s.Config(*s.user, provision.Merge(base, *s.user))
	}
}

// apply plans, and takes the steps of stages.
func (s *Session) apply(ctx context.Context, stages []provision.Stage) error {
	config, err := s.full(ctx)
	if err != nil {
		s.ended(stages[0], err)
		return err
	}
	target, err := s.Target(stages)
	if err != nil {
		return err
	}
	target.State = &s.state
	if target.Fetch, err = s.fetcherOf(config); err != nil {
		return err
	}
	facts, err := s.Facts(ctx, config, target)
	if err != nil {
		return fmt.Errorf("looking at the machine: %w", err)
	}
	plan, err := config.Plan(facts)
	if err != nil {
		s.ended(stages[0], err)
		return err
	}
	if s.Begin != nil {
		if err := s.Begin(plan, stages); err != nil {
			return err
		}
	}
	return s.take(ctx, plan, target, stages)
}

// take takes the steps stage by stage, and writes all to disk once.
func (s *Session) take(ctx context.Context, plan provision.Plan, target provision.Target, stages []provision.Stage) error {
	sync := !target.NoSync
	target.NoSync = true
	var err error
	for _, stage := range stages {
		if s.Before != nil {
			err = s.Before(plan, stage)
		}
		if err == nil {
			err = provision.ApplyStages(ctx, plan, target, stage)
		}
		if s.restart = errors.Is(err, provision.ErrRestart); s.restart {
			err = s.flagRestart()
		}
		s.ended(stage, err)
		if err != nil || s.restart {
			break
		}
	}
	if !sync || target.Files == nil {
		return err
	}
	if syncErr := target.Files.Sync("/oem"); err == nil {
		err = syncErr
	}
	return err
}

// fetcherOf is the fetcher with the settings of a config.
func (s *Session) fetcherOf(c provision.Config) (provision.Fetcher, error) {
	f := s.fetcher(false)
	if f == nil {
		return nil, nil
	}
	f, report := c.Fetcher(f)
	return f, s.tell(report)
}
