package provision

import (
	"context"
	"encoding/json"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// Stage is a part of provisioning. Steps run stage by stage.
type Stage string

// The stages in their order.
const (
	StageFetchOffline Stage = "fetch-offline" // find the config without a network
	StageFetch        Stage = "fetch"         // find it, with all that it refers to
	StageKargs        Stage = "kargs"
	StageDisks        Stage = "disks"
	StageMount        Stage = "mount"
	StageFiles        Stage = "files"
	StageUmount       Stage = "umount"
)

// Stages are all stages in their order.
var Stages = []Stage{StageFetchOffline, StageFetch, StageKargs, StageDisks, StageMount, StageFiles, StageUmount}

// Step is one thing to do.
type Step struct {
	Stage  Stage
	At     Position // in the user's text; zero if the text did not ask for it
	Action Action
}

// Describe is the step in one line.
func (s Step) Describe() string { return s.Action.Summary().String() }

// MarshalJSON gives the step as {kind, stage, at, describe, action}.
func (s Step) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind     string   `json:"kind"`
		Stage    Stage    `json:"stage"`
		At       Position `json:"at,omitzero"`
		Describe string   `json:"describe"`
		Action   Action   `json:"action"`
	}{s.Action.Kind(), s.Stage, s.At, s.Describe(), s.Action})
}

// Plan is what to do, in order.
type Plan struct {
	Config   string `json:"config,omitempty"` // name of the text; empty without a config
	Provided bool   `json:"provided"`         // whether there is a user config
	Steps    []Step `json:"steps"`
	Warnings Report `json:"warnings,omitempty"`
}

// Plan works out the steps of a config for a machine that facts describe. It
// touches and fetches nothing: Render must have brought in what the config
// refers to, unless that is embedded. The error, if any, is a Report with all that stands in
// the way, and then there is no plan.
func (c Config) Plan(facts Facts) (Plan, error) {
	c, report := c.Render(context.Background(), nil)
	if report.Err() != nil {
		return Plan{}, report.sorted()
	}
	b := &builder{Config: c, facts: facts, report: report}
	if c.Provided() {
		b.kernelArguments()
		b.authorities()
		b.volumes, b.claims = newVolumes(facts.Disks), newClaims(c)
		b.partitionDisks()
		b.raid()
		b.luks()
		b.filesystems()
		b.mounts()
		b.accounts()
		b.nodes()
		b.units()
		b.crypttab()
	}
	b.add(StageFiles, nil, &WriteResult{Provided: c.UserProvided})
	b.unmounts()
	if err := b.report.sorted().Err(); err != nil {
		return Plan{}, err
	}
	p := Plan{Provided: c.UserProvided, Steps: b.steps, Warnings: b.report.sorted()}
	if c.Provided() {
		p.Config = c.Name
	}
	return p, nil
}

// builder collects the steps of a plan.
type builder struct {
	Config
	facts  Facts
	steps  []Step
	report Report

	volumes *volumes // as they are after the steps so far
	claims  *claims  // likewise
}

func (b *builder) add(s Stage, p Path, a Action) {
	step := Step{Stage: s, Action: a}
	if p != nil {
		step.At = b.Position(p...)
	}
	b.steps = append(b.steps, step)
}

func (b *builder) fail(p Path, message, remedy string) {
	b.report = append(b.report, *b.problem(p, message, remedy))
}

func (b *builder) warn(p Path, message, remedy string) {
	w := b.problem(p, message, remedy)
	w.Severity = Warning
	b.report = append(b.report, *w)
}

// authorities checks the contents of the certificate authorities.
func (b *builder) authorities() {
	for i, ca := range b.Ignition.Ignition.Security.TLS.CertificateAuthorities {
		b.content(ca, Path{"ignition", "security", "tls", "certificateAuthorities", i})
	}
}

// content decodes a resource, or takes note of one to fetch, or reports why
// not and returns nil.
func (b *builder) content(res types.Resource, p Path) *Content {
	content, problem := b.Config.content(res, p)
	if problem != nil {
		b.report = append(b.report, *problem)
	}
	return content
}
