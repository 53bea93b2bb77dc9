package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
	"github.com/coreos/ignition/v2/config/validate"
	"github.com/vincent-petithory/dataurl"
)

const (
	// Largest config or bundle of certificates that is fetched, in bytes.
	fetchedMax = 64 << 20
	// Longest chain of configs that refer to each other.
	chainMax = 32
)

// Render brings in the configs that this one refers to, depth first, and the
// certificates of its authorities, which become data URLs; what comes out
// refers to no other config. Timeouts, proxies and authorities of a config
// hold for what it refers to. A nil fetcher serves embedded ones only.
func (c Config) Render(ctx context.Context, f Fetcher) (Config, Report) {
	if !c.Provided() || c.rendered() {
		return c, nil
	}
	return c.renderWith(renderer{ctx: ctx}, f)
}

// RenderWithout is Render as far as it goes without what is not here: a
// reference that fails for one of the causes is left out, with a warning.
func (c Config) RenderWithout(ctx context.Context, f Fetcher, causes ...error) (Config, Report) {
	if !c.Provided() || c.rendered() {
		return c, nil
	}
	return c.renderWith(renderer{ctx, causes}, f)
}

// CheckEmbedded tells what is wrong with the configs that this one embeds.
func (c Config) CheckEmbedded() Report {
	if !c.Provided() || c.rendered() {
		return nil
	}
	_, report := renderer{context.Background(), []error{ErrNeedsNetwork}}.render(c, nil, nil)
	return slices.DeleteFunc(report, func(p Problem) bool { return errors.Is(p.Cause, ErrNeedsNetwork) }).sorted()
}

func (c Config) renderWith(r renderer, f Fetcher) (Config, Report) {
	out, report := r.render(c, f, nil)
	if report.Err() != nil {
		return c, report.sorted()
	}
	return out, append(report, out.convert(validate.ValidateWithContext(out.Ignition, nil), out.JSON)...).sorted()
}

// rendered tells whether there is nothing for Render to do.
func (c Config) rendered() bool {
	section := c.Ignition.Ignition.Config
	return section.Replace.Source == nil && len(section.Merge) == 0 && !slices.ContainsFunc(c.Ignition.Ignition.Security.TLS.CertificateAuthorities, func(ca types.Resource) bool {
		return !strings.HasPrefix(value(ca.Source), "data:") || value(ca.Compression) != ""
	})
}

// WithoutReferences is the config without those to others, as base configs
// are used.
func (c Config) WithoutReferences() Config {
	section := &c.Ignition.Ignition.Config
	if section.Replace.Source == nil && len(section.Merge) == 0 {
		return c
	}
	*section = types.IgnitionConfig{}
	return c.encoded()
}

// Fetcher is f with what the config says about fetching. The config's
// certificates must be embedded, as Render makes them.
func (c Config) Fetcher(f Fetcher) (Fetcher, Report) {
	r := renderer{ctx: context.Background()}
	_, f, report := r.settings(c, f)
	return f, report
}

// renderer is one call of Render.
type renderer struct {
	ctx    context.Context
	spared []error // causes for which a reference is left out
}

// spare makes warnings of errors whose cause is spared. Absent tells whether
// there were only such.
func (r renderer) spare(report Report) (out Report, absent bool) {
	if report.Err() == nil {
		return report, false
	}
	for _, p := range report {
		if p.Severity == Error && slices.ContainsFunc(r.spared, func(cause error) bool { return errors.Is(p.Cause, cause) }) {
			p.Severity = Warning
		}
		out = append(out, p)
	}
	return out, out.Err() == nil
}

// render resolves the references of a config that chain led to.
func (r renderer) render(c Config, f Fetcher, chain []string) (Config, Report) {
	c, f, report := r.settings(c, f)
	if report.Err() != nil {
		return c, report
	}
	section := c.Ignition.Ignition.Config
	if section.Replace.Source != nil {
		child, more := r.reference(c, f, section.Replace, Path{"ignition", "config", "replace"}, chain)
		more, absent := r.spare(more)
		if absent {
			child = c
			child.Ignition = types.Config{Ignition: types.Ignition{Version: c.Ignition.Ignition.Version}}
			child = child.encoded()
		}
		if more.Err() == nil && !child.Provided() {
			more = append(more, *c.problem(Path{"ignition", "config", "replace", "source"}, "the config that replaces this one is empty", "give it contents, or drop replace"))
		}
		child.UserProvided = c.UserProvided
		child.Referenced = append(c.Referenced[:len(c.Referenced):len(c.Referenced)], child.Referenced...)
		return child, append(report, more...)
	}
	out := c.WithoutReferences()
	for i, res := range section.Merge {
		child, more := r.reference(c, f, res, Path{"ignition", "config", "merge", i}, chain)
		more, absent := r.spare(more)
		report = append(report, more...)
		if more.Err() == nil && !absent {
			out = Merge(out, child)
		}
	}
	return out, report
}

// reference fetches, reads and renders a config that another one names.
func (r renderer) reference(c Config, f Fetcher, res types.Resource, p Path, chain []string) (Config, Report) {
	address := value(res.Source)
	if slices.Contains(chain, address) || len(chain) == chainMax {
		return c, Report{*c.problem(p.with("source"), "the configs refer to each other in a circle", "drop one of the references")}
	}
	data, problem := r.fetch(c, f, res, p)
	if problem != nil {
		return c, Report{*problem}
	}
	child, report := c.loadReference(data, address, p)
	if report.Err() != nil {
		return c, report
	}
	child.Referenced = []string{address}
	child, more := r.render(child, f, append(chain[:len(chain):len(chain)], address))
	return child, append(report, more...)
}

// fetch gets the whole of a resource.
func (r renderer) fetch(c Config, f Fetcher, res types.Resource, p Path) ([]byte, *Problem) {
	content, problem := c.content(res, p)
	if problem != nil {
		return nil, problem
	}
	if _, remote := content.Remote(); !remote {
		return content.Bytes(), nil
	}
	data, err := content.Read(r.ctx, f, fetchedMax)
	if err != nil {
		return nil, c.unfetched(err, p)
	}
	return data, nil
}

func (c Config) unfetched(err error, p Path) *Problem {
	problem := c.problem(p.with("source"), err.Error(), "")
	var placed *placedError
	if errors.As(err, &placed) {
		problem.Position = placed.at
	}
	if errors.Is(err, ErrNeedsNetwork) {
		problem.Remedy = "embed it, or give it a network"
	}
	if errors.Is(err, ErrNoOEM) {
		problem.Remedy = "the machine reads it from its own"
	}
	problem.Cause = err
	return problem
}

// loadReference reads the text of a config that another one names at p.
// Elements of an embedded text have the place of the reference.
func (c Config) loadReference(data []byte, address string, p Path) (Config, Report) {
	at := c.Position(p...)
	inside := strings.HasPrefix(address, "data:")
	name := at.File
	if !inside {
		name = at.String() + " > " + Request{URL: address}.Address()
	}
	child, report := Load(name, data, LoadOptions{})
	if child.Kind == KindOther {
		report = Report{{Severity: Error, Message: "it is no Ignition config", Position: Position{File: name}}}
	}
	if !inside {
		return child, report
	}
	child.at = pinned(at)
	for i := range report {
		report[i].Position = at
		report[i].Message = fmt.Sprintf("the config that %s embeds: %s", p, report[i].Message)
	}
	return child, report
}

// settings gives f what the config says about fetching, and embeds the
// certificates. Without a fetcher nothing has use for them.
func (r renderer) settings(c Config, f Fetcher) (Config, Fetcher, Report) {
	if f == nil {
		return c, nil, nil
	}
	s := c.fetchSettings()
	before, problem := c.configure(f, s, Path{"ignition"})
	if problem != nil {
		return c, f, Report{*problem}
	}
	section := Path{"ignition", "security", "tls", "certificateAuthorities"}
	authorities := slices.Clone(c.Ignition.Ignition.Security.TLS.CertificateAuthorities)
	if len(authorities) == 0 {
		return c, before, nil
	}
	var report Report
	for i, ca := range authorities {
		data, problem := r.fetch(c, before, ca, section.with(i))
		if problem != nil {
			told, _ := r.spare(Report{*problem})
			report = append(report, told...)
			continue
		}
		s.Authorities = append(s.Authorities, data)
		authorities[i] = embeddedAuthority(ca, data)
	}
	if report.Err() != nil {
		return c, f, report
	}
	if len(report) > 0 {
		return c, before, report // some are not here
	}
	after, problem := c.configure(f, s, section)
	if problem != nil {
		return c, f, Report{*problem}
	}
	c.Ignition.Ignition.Security.TLS.CertificateAuthorities = authorities
	return c.encoded(), after, nil
}

func embeddedAuthority(ca types.Resource, data []byte) types.Resource {
	source := dataurl.EncodeBytes(data)
	return types.Resource{Source: &source, Verification: ca.Verification}
}

func (c Config) fetchSettings() FetchSettings {
	ign := c.Ignition.Ignition
	s := FetchSettings{ResponseHeadersSeconds: ign.Timeouts.HTTPResponseHeaders, TotalSeconds: ign.Timeouts.HTTPTotal,
		HTTPProxy: ign.Proxy.HTTPProxy, HTTPSProxy: ign.Proxy.HTTPSProxy}
	for _, name := range ign.Proxy.NoProxy {
		s.NoProxy = append(s.NoProxy, string(name))
	}
	return s
}

func (c Config) configure(f Fetcher, s FetchSettings, p Path) (Fetcher, *Problem) {
	able, ok := f.(Configurable)
	if !ok {
		return f, nil
	}
	out, err := able.Configure(s)
	if err != nil {
		return f, c.problem(p, err.Error(), "correct the settings")
	}
	return out, nil
}

// encoded is the config with its JSON made anew.
func (c Config) encoded() Config {
	c.JSON, _ = json.Marshal(c.Ignition) // it was made of JSON
	return c
}
