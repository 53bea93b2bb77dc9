package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"wellcar.dev/internal/cloudinit"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/butane"
	"wellcar.dev/internal/provision/clc"
	"wellcar.dev/internal/provision/platform"
	"wellcar.dev/internal/provision/preview"
)

// sourceFlags say how to read a user's text.
type sourceFlags struct {
	strict   bool
	filesDir string
	platform string
	image    string
}

func (o *sourceFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&o.strict, "strict", false, "warnings are errors")
	f.StringVar(&o.filesDir, "files-dir", "", "folder of the files that the config embeds (default: the config's own)")
	f.StringVar(&o.image, "image", "", "disk image that the machine boots, to know its files and units (default: the built one)")
	f.StringVar(&o.platform, "platform", "", "where the machine runs, for {PRIVATE_IPV4} and the like in Container Linux Configs")
}

// check refuses what cannot be meant.
func (o *sourceFlags) check() error {
	known := append(platform.IDs(), clc.Platforms()...)
	slices.Sort(known)
	if known = slices.Compact(known); o.platform != "" && !slices.Contains(known, o.platform) {
		return withCode(exitUsage, fmt.Errorf("--platform %s: there is no such platform; known are %s", o.platform, strings.Join(known, ", ")))
	}
	return nil
}

// judge makes errors of warnings where they are to be.
func (o *sourceFlags) judge(r provision.Report) provision.Report {
	if o.strict {
		return r.Strict()
	}
	return r
}

// source is a user's text: a config of Ignition in any of its languages, or
// user data for coreos-cloudinit.
type source struct {
	name   string
	text   []byte
	config provision.Config
	whole  provision.Config    // with the configs that it embeds, if it needs no others
	cloud  *cloudinit.UserData // nil: config it is
}

// readSource loads a user's file, - for the standard input, checks its units
// and tells all that is wrong with it. Image is nil if nothing is known of it.
func readSource(a *app, name string, o sourceFlags, image *preview.Image) (source, error) {
	data, err := readText(a, name)
	if err != nil {
		return source{}, withCode(exitUsage, fmt.Errorf("reading the config: %w", err))
	}
	s, report := parseSource(name, data, o)
	if report.Err() == nil {
		var found provision.Report
		if s.cloud != nil {
			found = checkCloud(*s.cloud, image)
		} else {
			s.whole = embedded(s.config)
			found = preview.CheckUnits(s.whole, provision.NewYAML(name, data), image)
		}
		report = append(report, o.judge(found)...).Sorted()
	}
	return s, a.show.problems(name, report)
}

// embedded is a config with those that it embeds. One that needs others too
// is left as it is.
func embedded(c provision.Config) provision.Config {
	out, report := c.Render(context.Background(), nil)
	if report.Err() != nil {
		return c
	}
	return out
}

func readText(a *app, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(a.in)
	}
	return os.ReadFile(name)
}

func parseSource(name string, data []byte, o sourceFlags) (source, provision.Report) {
	s := source{name: name, text: data}
	if provision.Recognise(data) == provision.KindOther {
		cloud, found := cloudinit.Parse(name, data, cloudinit.Values{})
		s.cloud = &cloud
		return s, o.judge(cloudProblems(found)).Sorted()
	}
	var report provision.Report
	s.config, report = loadConfig(name, data, o)
	return s, report
}

// loadConfig reads a config as all verbs do; files that it embeds are looked
// for beside it.
func loadConfig(name string, data []byte, o sourceFlags) (provision.Config, provision.Report) {
	if o.filesDir == "" {
		o.filesDir = filepath.Dir(name)
	}
	return provision.Load(name, data, provision.LoadOptions{
		FilesDir: o.filesDir, Strict: o.strict, Butane: butane.Translate, CLC: clc.Translator(clcPlatform(o.platform)),
	})
}

// clcPlatform is the name that Container Linux Configs have for a platform.
func clcPlatform(id string) string {
	switch id {
	case "aws":
		return "ec2"
	case "gcp":
		return "gce"
	case "openstack":
		return "openstack-metadata"
	case "cloudstack":
		return "cloudstack-configdrive"
	}
	return id
}

func cloudProblems(found cloudinit.Report) provision.Report {
	var out provision.Report
	for _, p := range found {
		out = append(out, provision.Problem{
			Severity: provision.Severity(p.Severity), Message: p.Message, Remedy: p.Remedy,
			Position: provision.Position{File: p.File, Line: p.Line, Column: p.Column},
		})
	}
	return out
}

// problems tells what is wrong with a text, line by line; its error is nil if
// nothing stands in the way. The only error of a text is left to the caller.
func (p *printer) problems(name string, report provision.Report) error {
	var errs provision.Report
	for _, problem := range report {
		if problem.Severity == provision.Error {
			errs = append(errs, problem)
		}
	}
	for _, problem := range report {
		if p.json || problem.Severity != provision.Error || len(errs) > 1 {
			p.problem(problem)
		}
	}
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs.Err()
	}
	return fmt.Errorf("%s: %d errors", name, len(errs))
}

func (p *printer) problem(problem provision.Problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.event("problem", map[string]any{"problem": problem}) {
		p.clear()
		fmt.Fprintln(p.err, problem)
	}
}

// userDataConfig is an Ignition config that hands user data to
// coreos-cloudinit, where an installation on disk would have left it.
func userDataConfig(text []byte) []byte {
	return fmt.Appendf(nil, `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/var/lib/flatcar-install/user_data","mode":384,"contents":{"source":"data:,%s"}}]}}`,
		escape(text))
}

// escape writes bytes for a data URL within JSON.
func escape(text []byte) string {
	var b strings.Builder
	for _, c := range text {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
