package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wellcar.dev/internal/archive"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/lock"
	"wellcar.dev/internal/qemu"
)

const buildLong = `Builds the disk image from the recipe and its lock: fetches the locked packages
that are not in the cache, joins them, and writes wellcar.img, the unified
kernel image, and the records that wellcar verify and wellcar diff read.

A package that the archive no longer has is replaced by its newest version,
the build says so and is marked as not locked; --lock=require fails instead.
Equal recipe, lock and programs give equal bytes on every machine.

With --platform the machines of the image know where they run, and so where they
find their configuration; nothing else of the image changes.`

// buildFlags are those of verbs that build.
func (w *workshop) buildFlags(f *pflag.FlagSet) {
	f.StringVar(&w.recipeDir, "recipe", defaultRecipe, "folder of the recipe")
	f.StringVar(&w.archive, "archive", "", "archive address `URL[,SECURITY_URL]` (default: $WELLCAR_ARCHIVE, the host's apt sources, Debian's aliases)")
	f.StringVar(&w.programs, "programs", "", "folder of wellcar-init and wellcard (default: this program's)")
	f.Var((*policyValue)(&w.policy), "lock", "prefer the locked packages, or require them")
}

// policyValue is the value of --lock.
type policyValue archive.Policy

func (p *policyValue) String() string { return archive.Policy(*p).String() }
func (p *policyValue) Type() string   { return "prefer|require" }
func (p *policyValue) Set(s string) error {
	policy, err := archive.ParsePolicy(s)
	*p = policyValue(policy)
	return err
}

func buildCommand(a *app) *cobra.Command {
	w := &workshop{}
	c := &cobra.Command{
		Use:   "build",
		Short: "Build the disk image from the signed archive",
		Long:  buildLong,
		Example: `  wellcar build
  wellcar build --version 0.2.0 --out /tmp/next
  wellcar build --platform openstack --out /tmp/openstack
  wellcar build --out /tmp/a --lock require --archive http://mirror.example/debian`,
		Args: cobra.NoArgs,
	}
	w.buildFlags(c.Flags())
	c.Flags().StringVar(&w.version, "version", "", "version of the image instead of the recipe's")
	c.Flags().StringVar(&w.platform, "platform", "", "`ID` of the platform that the image is for, instead of the recipe's: openstack, aws, vmware, ... (see docs/platforms.md)")
	c.Flags().StringVar(&w.out, "out", defaultOut, "folder of the results")
	c.RunE = func(c *cobra.Command, _ []string) error {
		w.logf = a.show.note
		began := time.Now()
		in, err := w.input(c.Context(), a.show.progress, func(image.Recipe) []string { return imageGroups })
		if err != nil {
			return err
		}
		fetched := time.Since(began)
		result, spans, err := w.buildImage(c.Context(), a.show.progress, in, w.out)
		if err != nil {
			return err
		}
		spans = append([]qemu.Span{{Name: "archive", Took: fetched}}, spans...)
		reportBuild(a, result, spans, time.Since(began))
		return nil
	}
	return c
}

// reportBuild prints what was built and where the time went.
func reportBuild(a *app, r image.Result, spans []qemu.Span, total time.Duration) {
	times := map[string]float64{}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "image\t%s\n", r.Disk)
	if r.Record.Platform != "" {
		fmt.Fprintf(table, "platform\t%s\n", r.Record.Platform)
	}
	fmt.Fprintf(table, "/usr\t%.1f MB in %d names\n", float64(r.Record.Usr.DataSize+r.Record.Usr.TreeSize)/1e6, r.Record.Files)
	fmt.Fprintf(table, "initrd\t%.1f MB\n", float64(r.Record.Initrd.Size)/1e6)
	fmt.Fprintf(table, "UKI\t%.1f MB\n", float64(r.Record.UKI.Size)/1e6)
	fmt.Fprintf(table, "root hash\t%s\n", r.Record.RootHash)
	fmt.Fprintf(table, "locked\t%v\n", r.Record.Locked)
	for _, s := range spans {
		times[s.Name] = s.Took.Seconds()
		fmt.Fprintf(table, "time of %s\t%s\n", s.Name, seconds(s.Took))
	}
	fmt.Fprintf(table, "time in all\t%s\n", seconds(total))
	table.Flush()
	a.show.result("built", map[string]any{
		"image": r.Disk, "platform": r.Record.Platform, "root_hash": r.Record.RootHash, "locked": r.Record.Locked,
		"usr_bytes": r.Record.Usr.DataSize + r.Record.Usr.TreeSize, "initrd_bytes": r.Record.Initrd.Size,
		"uki_bytes": r.Record.UKI.Size, "seconds": times, "total_seconds": total.Seconds(),
	}, string(bytes.TrimRight(text.Bytes(), "\n")))
}

// ensureImage returns the built image, after building it if recipe, lock or
// programs are not those it was made from.
func (w *workshop) ensureImage(ctx context.Context, report progress) (builtImage, error) {
	began := time.Now()
	in, err := w.input(ctx, report, func(image.Recipe) []string { return imageGroups })
	if err != nil {
		return builtImage{}, err
	}
	spans := []qemu.Span{{Name: "archive", Took: time.Since(began)}}
	fresh, err := w.upToDate(in)
	if err != nil {
		return builtImage{}, err
	}
	if fresh {
		return builtImage{Path: filepath.Join(w.out, image.DiskFile), Spans: spans}, nil
	}
	began = time.Now()
	result, phases, err := w.buildImage(ctx, report, in, w.out)
	if err != nil {
		return builtImage{}, err
	}
	return builtImage{Path: result.Disk, Spans: append(spans, summarise(phases, time.Since(began))...)}, nil
}

// summarise cuts a build into tree (packages to files) and image (the rest).
func summarise(phases []qemu.Span, total time.Duration) []qemu.Span {
	var tree time.Duration
	for _, p := range phases {
		if p.Name == "unpack" || p.Name == "tree" || p.Name == "finish" {
			tree += p.Took
		}
	}
	return []qemu.Span{{Name: "tree", Took: tree}, {Name: "image", Took: total - tree}}
}

// upToDate tells whether the results are of these inputs.
func (w *workshop) upToDate(in image.Input) (bool, error) {
	record, err := image.ReadRecord(w.out)
	if err != nil {
		return false, nil // none, or not readable: build anew
	}
	locked, err := lock.Marshal(in.Lock)
	if err != nil {
		return false, err
	}
	initrd, wellcard, err := w.readPrograms()
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(filepath.Join(w.out, image.DiskFile)); err != nil {
		return false, nil
	}
	platform, err := in.Recipe.For()
	if err != nil {
		return false, err
	}
	return record.Platform == platform.ID && record.Inputs == image.Inputs{
		Lock: digest(locked), Recipe: digest(in.Recipe.Archive()), Init: digest(initrd), Wellcard: digest(wellcard),
	}, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
