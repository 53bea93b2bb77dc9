package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/format/crau"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/image/publish"
	"wellcar.dev/internal/lock"
	"wellcar.dev/internal/release"
)

const releaseLong = `Turns a build into a release folder that any web server can serve: a signed
manifest, the full update payload with its block index, a delta from each older
build that --from names, the compressed disk image with its OpenPGP signatures
and digests, version.txt, a bill of materials (SPDX) and a provenance statement
(SLSA).

Each payload is applied once before it is written, with the code that machines
run. Equal builds, keys and dates give equal bytes. The date is that of the
lock, or SOURCE_DATE_EPOCH, or --date.`

// releaseOptions are the flags of the verb.
type releaseOptions struct {
	in        publish.Input
	keys      string
	date      dateValue
	validDays int
}

func releaseCommand(a *app) *cobra.Command {
	o := &releaseOptions{}
	c := &cobra.Command{
		Use:   "release --key KEYS --out DIR",
		Short: "Make a release folder of a build, with deltas",
		Long:  releaseLong,
		Example: `  wellcar release keys --out keys
  wellcar release --key keys --out releases/0.1.0
  wellcar release --key keys --from builds/0.1.0 --from older/wellcar.img --out releases/0.2.0`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.in.Build, "build", defaultOut, "folder of the build, or its disk image")
	f.StringArrayVar(&o.in.From, "from", nil, "an older build `DIR|IMAGE` to make a delta from; may be repeated")
	f.StringVar(&o.in.Out, "out", "", "the release folder")
	f.StringVar(&o.keys, "key", "", "folder of keys, as made by wellcar release keys")
	f.StringVar(&o.in.Channel, "channel", "stable", "the channel that follows this release")
	f.StringVar(&o.in.Minimum, "minimum", "0.0.0", "the oldest version that machines install by themselves after this one")
	f.Var(&o.date, "date", "date of the release, `YYYY-MM-DD` (default: SOURCE_DATE_EPOCH, or the date of the lock)")
	f.IntVar(&o.validDays, "valid-days", 180, "days until machines refuse the manifest")
	f.BoolVar(&o.in.Fast, "fast", false, "make larger payloads in less time, for tries")
	f.BoolVar(&o.in.Update, "update-only", false, "make only what machines update from: payloads and manifest, no image and no records")
	f.BoolVar(&o.in.Deltas, "deltas-only", false, "the same without the full payload, for machines that all run a build of --from")
	f.BoolVar(&o.in.Package, "package", false, "make "+release.PackageFile+" too, for servers that know one file for each version")
	f.BoolVar(&o.in.CrAU, "crau", false, "make "+crau.File+" and "+publish.MigrateFile+" too, which move machines with Flatcar or CoreOS")
	c.MarkFlagRequired("out")
	c.MarkFlagRequired("key")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.complete(); err != nil {
			return err
		}
		o.in.Progress = a.show.progress
		began := time.Now()
		r, err := publish.Make(c.Context(), o.in)
		if err != nil {
			return err
		}
		reportRelease(a, o.in.Out, r, time.Since(began))
		return nil
	}
	c.AddCommand(releaseKeysCommand(a))
	return c
}

// complete turns the flags into an input.
func (o *releaseOptions) complete() (err error) {
	only := "--update-only"
	if o.in.Deltas {
		only = "--deltas-only"
	}
	if (o.in.Update || o.in.Deltas) && (o.in.CrAU || o.in.Package) {
		return withCode(exitUsage, fmt.Errorf("%s leaves out what --crau and --package make; give one or the other", only))
	}
	if o.in.Deltas && len(o.in.From) == 0 {
		return withCode(exitUsage, errors.New("--deltas-only makes nothing without --from; name the builds that the machines run"))
	}
	o.in.Build = buildFolder([]string{o.in.Build}, 0, "")
	for i := range o.in.From {
		o.in.From[i] = buildFolder(o.in.From, i, "")
	}
	if o.in.Date, err = o.releaseDate(); err != nil {
		return err
	}
	if o.validDays < 1 {
		return withCode(exitUsage, fmt.Errorf("--valid-days %d: a release is valid for one day or more", o.validDays))
	}
	o.in.Expires = o.in.Date.AddDate(0, 0, o.validDays)
	o.in.Keys, err = publish.LoadKeys(o.keys)
	return err
}

// releaseDate is the same on every machine for one build.
func (o *releaseOptions) releaseDate() (time.Time, error) {
	if !o.date.IsZero() {
		return o.date.Time, nil
	}
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return time.Time{}, withCode(exitUsage, fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds", epoch))
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	name := filepath.Join(o.in.Build, image.LockFile)
	data, err := os.ReadFile(name)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the date of the build: %w", err)
	}
	l, err := lock.Parse(data)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	var newest time.Time
	for _, s := range l.Suites {
		if t, err := time.Parse(time.RFC3339, s.Date); err == nil && t.After(newest) {
			newest = t
		}
	}
	if newest.IsZero() {
		return newest, fmt.Errorf("%s has no date; name one with --date", name)
	}
	return newest.UTC(), nil
}

// dateValue is the value of a flag: a day, UTC.
type dateValue struct{ time.Time }

func (d *dateValue) Type() string { return "date" }

func (d *dateValue) String() string {
	if d.IsZero() {
		return ""
	}
	return d.Format(time.DateOnly)
}

func (d *dateValue) Set(s string) (err error) {
	if d.Time, err = time.Parse(time.DateOnly, s); err != nil {
		return fmt.Errorf("%q is not a day as 2026-01-31", s)
	}
	return nil
}

// reportRelease prints what is in the folder.
func reportRelease(a *app, dir string, r publish.Result, took time.Duration) {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "release\t%s in %s\n", r.Manifest.Version, dir)
	fmt.Fprintf(table, "channel\t%s\n", r.Manifest.Channel)
	fmt.Fprintf(table, "root hash\t%s\n", r.Manifest.RootHash)
	fmt.Fprintf(table, "expires\t%s\n", r.Manifest.Expires)
	for _, p := range r.Manifest.Payloads {
		fmt.Fprintf(table, "%s\t%.3f MB in %s\n", p.Kind, float64(p.Size)/1e6, p.Name)
	}
	fmt.Fprintf(table, "all files\t%.1f MB\n", float64(r.Size)/1e6)
	fmt.Fprintf(table, "time\t%s\n", seconds(took))
	table.Flush()
	a.show.result("released", fieldsOf(r.Manifest, map[string]any{"folder": dir, "bytes": r.Size, "seconds": took.Seconds()}),
		string(bytes.TrimRight(text.Bytes(), "\n")))
}

// fieldsOf adds the manifest, as it is in its file, to the fields of an event.
func fieldsOf(m release.Manifest, fields map[string]any) map[string]any {
	if data, err := json.Marshal(m); err == nil {
		fields["manifest"] = json.RawMessage(data)
	}
	return fields
}

const releaseKeysLong = `Makes the keys of releases in a folder:

  root.pem                   the root key. Keep it offline; it only certifies release keys
  root.pub.pem               its public half, which machines trust
  release.pem                the release key, which signs manifests
  release.certificates.json  the root key's word for it, for a span of time
  image.asc, image.pub.asc   an OpenPGP key for the files that people fetch
  payload.pem, payload.pub.pem  an RSA key for payloads that move other systems

Run again in the same folder, or with --root FILE, it makes a new release key
under the same root key: that is how a release key is replaced.`

func releaseKeysCommand(a *app) *cobra.Command {
	var out, rootFile string
	var from dateValue
	var days int
	c := &cobra.Command{
		Use:   "keys --out DIR",
		Short: "Make keys for releases, or a new release key",
		Long:  releaseKeysLong,
		Example: `  wellcar release keys --out keys
  wellcar release keys --out keys-2027 --root /media/offline/root.pem --days 400`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&out, "out", "", "folder of the keys")
	c.Flags().StringVar(&rootFile, "root", "", "an existing root key `FILE`")
	c.Flags().Var(&from, "not-before", "first day of the release key, `YYYY-MM-DD` (default: yesterday)")
	c.Flags().IntVar(&days, "days", 400, "days that the release key is valid")
	c.MarkFlagRequired("out")
	c.RunE = func(*cobra.Command, []string) error {
		o := publish.KeyOptions{From: from.Time, Random: rand.Reader}
		if from.IsZero() {
			o.From = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
		}
		o.To = o.From.AddDate(0, 0, days)
		if rootFile != "" {
			var err error
			if o.Root, err = os.ReadFile(rootFile); err != nil {
				return fmt.Errorf("reading the root key: %w", err)
			}
		}
		root, key, err := publish.CreateKeys(out, o)
		if err != nil {
			return err
		}
		a.show.result("keys", map[string]any{"folder": out, "root": root.ID(), "release": key.ID(), "not_after": release.FormatTime(o.To)},
			fmt.Sprintf("root key %s\nrelease key %s, valid until %s", root.ID(), key.ID(), o.To.Format(time.DateOnly)))
		return nil
	}
	return c
}
