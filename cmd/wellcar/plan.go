package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/format/jsonschema"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/fetch"
	"wellcar.dev/internal/provision/preview"
)

const planLong = `Prints what a first boot would do with a config, step by step, in the order of
doing: files with owner, mode, size and hash, units, users, disks. Each step has
the line of the config that asks for it. Then come the files of the image that
are replaced, what becomes of the units, the downloads with their size and
whether their hash is right, restarts, and warnings of known traps. Nothing is
changed. CONFIG is what "wellcar config" takes.

With --disk, the partitions of those disks come too, before and after, and
what they cannot hold is an error: vda with the image, then vdb, vdc, ... unless
named.

Downloads are fetched to look at them, unless --offline. The image is the built
one, out/wellcar.img, or --image; of it, contents.txt and build.json beside it
are read.`

// How long a download may take before a plan gives it up.
const fetchTimeout = 20 * time.Second

// planOptions are the flags of plan.
type planOptions struct {
	sourceFlags
	offline bool
	schema  bool
	disks   []string
}

func planCommand(a *app) *cobra.Command {
	o := &planOptions{}
	c := &cobra.Command{
		Use:   "plan CONFIG",
		Short: "Show what a first boot would do with a config",
		Long:  planLong,
		Example: `  wellcar plan examples/hello.bu
  wellcar plan node.bu --disk 20G --disk /dev/sdb=100G
  wellcar plan --offline --json node.ign | jq '.problem // empty'`,
		Args: func(c *cobra.Command, args []string) error {
			if o.schema {
				return cobra.NoArgs(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
	}
	o.add(c.Flags())
	c.Flags().BoolVar(&o.offline, "offline", false, "fetch nothing: downloads are not checked")
	c.Flags().StringArrayVar(&o.disks, "disk", nil, "disk of the machine, [NAME=]SIZE such as 10G: the first has the image, further ones are empty (repeatable)")
	c.Flags().BoolVar(&o.schema, "schema", false, "print the JSON Schema of a plan")
	c.RunE = func(c *cobra.Command, args []string) error {
		if o.schema {
			return a.show.schema(jsonschema.Of(reflect.TypeFor[preview.Preview](), stepSchema))
		}
		return a.plan(c.Context(), args[0], o)
	}
	return c
}

func (a *app) plan(ctx context.Context, name string, o *planOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	disks, err := parseDisks(o.disks)
	if err != nil {
		return withCode(exitUsage, err)
	}
	contents, err := imageContents(o.image)
	if err != nil {
		return withCode(exitUsage, err)
	}
	s, err := readSource(a, name, o.sourceFlags, contents)
	if err != nil {
		return err
	}
	if s.cloud != nil {
		return a.show.cloudPlan(s)
	}
	p, report := preparePlan(ctx, s, contents, o, disks)
	if err := a.show.problems(name, report); err != nil {
		return err
	}
	if o.strict && len(p.Warnings) > 0 {
		return a.show.problems(name, append(p.Warnings.Strict(), p.Problems...).Sorted())
	}
	a.show.result("plan", map[string]any{"plan": p}, p.Render())
	return a.show.problems(name, p.Problems)
}

// preparePlan makes the plan of a config and looks at what it means.
func preparePlan(ctx context.Context, s source, contents *preview.Image, o *planOptions, disks []provision.DiskFact) (*preview.Preview, provision.Report) {
	client := fetch.New(fetch.Options{Platform: o.platform, Offline: o.offline, Total: fetchTimeout})
	defer client.Close()
	absent := []error{provision.ErrNoOEM}
	if o.offline {
		absent = append(absent, provision.ErrNeedsNetwork)
	}
	rendered, report := s.config.RenderWithout(ctx, client, absent...)
	if report.Err() != nil {
		return nil, report
	}
	report = append(report, preview.ReferenceTraps(s.config)...)
	report = append(report, o.judge(preview.CheckMerged(s.whole, rendered, contents))...)
	facts := provision.DefaultFacts()
	facts.Platform, facts.Disks, facts.KernelLine = o.platform, disks, kernelLine(o.image)
	plan, err := rendered.Plan(facts)
	var failed provision.Report
	if errors.As(err, &failed) {
		return nil, failed
	}
	p := preview.Make(rendered, plan, preview.Options{Image: contents, Offline: o.offline, Kernel: facts.KernelLine})
	if fetcher, found := rendered.Fetcher(client); !o.offline && found.Err() == nil {
		p.Check(ctx, fetcher)
	}
	return p, report
}

// kernelLine is the words that an image starts its kernel with, but for the
// root hash; empty if they are not known.
func kernelLine(name string) string {
	if name == "" {
		name = filepath.Join(defaultOut, image.DiskFile)
	}
	record, err := image.ReadRecord(filepath.Dir(name))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(record.Cmdline, " verity.usrhash=")
	return line
}

// imageContents reads what is known of an image: the list beside it.
func imageContents(name string) (*preview.Image, error) {
	given := name != ""
	if !given {
		name = filepath.Join(defaultOut, image.DiskFile)
	}
	f, err := os.Open(filepath.Join(filepath.Dir(name), image.ContentsFile))
	if err != nil && !given {
		return nil, nil // there is no built image
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is in image %s: %w; name an image that lies where wellcar build put it", name, err)
	}
	defer f.Close()
	return preview.ReadImage(f)
}
