// Command bench measures Wellcar against mkosi, Debian's image builder, with
// the same packages on the same machine in the same run, and prints a table
// with the ratios and with what had to be reached. docs/benchmarks.md tells
// what each figure means.
//
// It runs bin/wellcar, which must have been built. mkosi comes from the signed
// archive into the cache; where it cannot run, its column says why. Limits:
// amd64, and mkosi's side needs Linux and root.
//
//	go run ./bench -n 3 -json
//	go run ./bench update -old-lock FILE -take REGEXP
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	if len(os.Args) > 4 && os.Args[1] == insideWord {
		fmt.Fprintln(os.Stderr, "bench:", runInside(os.Args[2], os.Args[3], os.Args[4:]))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// dispatch runs what the first word says.
func dispatch(ctx context.Context, args []string) error {
	switch {
	case len(args) > 0 && args[0] == updateWord:
		return benchUpdate(ctx, args[1:])
	case len(args) > 0 && args[0] == updateStepWord:
		return updateStep(ctx, args[1:])
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	return bench(ctx, o)
}

// options are the flags.
type options struct {
	runs    int
	json    bool
	peer    bool
	boots   bool
	program string
	recipe  string
	config  string
	cache   string
	archive string
}

func parseOptions(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.runs, "n", 1, "number of runs; the table has their medians")
	f.BoolVar(&o.json, "json", false, "print one JSON document instead of the table")
	f.BoolVar(&o.peer, "mkosi", true, "measure mkosi too")
	f.BoolVar(&o.boots, "boot", true, "boot the images too")
	f.StringVar(&o.program, "wellcar", "bin/wellcar", "the program to measure")
	f.StringVar(&o.recipe, "recipe", "image", "folder of the image's recipe")
	f.StringVar(&o.config, "config", "examples/hello.bu", "Butane file of what runs in the machines; it must answer HTTP on port 8080")
	f.StringVar(&o.cache, "cache", os.Getenv("WELLCAR_CACHE"), "cache folder (default: the user's)")
	f.StringVar(&o.archive, "archive", os.Getenv("WELLCAR_ARCHIVE"), "address of the Debian archive (default: the host's)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.runs < 1 {
		return o, fmt.Errorf("flags are -n 1 and so on, without further words: see -help")
	}
	return o, o.absolute()
}

// absolute makes paths independent of the working directory.
func (o *options) absolute() error {
	if base := os.Getenv("XDG_CACHE_HOME"); o.cache == "" && filepath.IsAbs(base) {
		o.cache = filepath.Join(base, "wellcar")
	}
	if o.cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("finding the cache folder: %w; set WELLCAR_CACHE", err)
		}
		o.cache = filepath.Join(home, ".cache", "wellcar")
	}
	for _, p := range []*string{&o.program, &o.recipe, &o.config, &o.cache} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}
