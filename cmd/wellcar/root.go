package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"wellcar.dev/internal/qemu"
)

// app is what all verbs share.
type app struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	show     *printer // set before a verb runs
	joins    joins
}

// joins are the engines as the verbs that run machines need them. A nil field
// is an engine that this program was built without.
type joins struct {
	// tools unpacks the tool set if needed.
	tools func(ctx context.Context, report progress) (qemu.Tools, error)
	// image builds the disk image, or finds the built one.
	image func(ctx context.Context, report progress) (builtImage, error)
	// translate turns Butane or Ignition into Ignition JSON and the source
	// text with its positions, which the machine needs to name lines.
	translate func(name string, data []byte) (ignition, source []byte, err error)
	// merge lays Ignition configs over one another, the last on top.
	merge func(configs ...[]byte) ([]byte, error)
	// containers are the images that the registry of a machine serves, by reference.
	containers func(ctx context.Context, report progress) (map[string]v1.Image, error)
}

// builtImage is a disk image and where the time of its build went.
type builtImage struct {
	Path  string
	Spans []qemu.Span
}

// verbs make the commands, in the order of the help.
var verbs = []func(*app) *cobra.Command{
	runCommand, buildCommand, releaseCommand, planCommand, configCommand, reportCommand, lockCommand, verifyCommand, diffCommand,
	testCommand, toolsCommand, serveCommand, packageCommand, pipeCommand, qmpCommand,
}

// run is the whole program: it returns the exit status.
func run(ctx context.Context, a *app, args []string) int {
	root := rootCommand(a)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	a.show = newPrinter(a.out, a.err, false)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	a.show.finish(err, code)
	return code
}

func rootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "wellcar",
		Short:         "Build, run and test Wellcar Container Linux",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.show = newPrinter(a.out, a.err, a.json)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return withCode(exitUsage, fmt.Errorf("unknown verb %q; see wellcar --help", args[0]))
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print events and results as JSON lines")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return withCode(exitUsage, fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
	})
	for _, verb := range verbs {
		c := verb(a)
		c.Args = usageArgs(c.Args)
		if c.Long != "" {
			c.Long += "\n" + exitHelp
		}
		root.AddCommand(c)
	}
	return root
}

// usageArgs makes a wrong number of arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if check(c, args) == nil {
			return nil
		}
		return withCode(exitUsage, fmt.Errorf("%d arguments are not what %s takes; write %s", len(args), c.Name(), c.UseLine()))
	}
}

// cacheDir is the root of all caches: WELLCAR_CACHE, else "wellcar" in the
// user's cache folder.
func cacheDir() (string, error) {
	if dir := os.Getenv("WELLCAR_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "wellcar"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w; set WELLCAR_CACHE", err)
	}
	return filepath.Join(home, ".cache", "wellcar"), nil
}

var errNoEngine = errors.New("this program was built without it")
