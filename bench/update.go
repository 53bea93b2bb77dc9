package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/lock"
)

// updateWord is the first word of a run that measures updates:
//
//	go run ./bench update -old-lock FILE -take 'linux-image|openssl'
//
// It builds the image of the recipe twice: as it is, and with those packages
// whose names match in the versions of an older lock. Then it makes the
// payloads from the older to the newer one, applies them, and gives the same
// two /usr images to other programs.
const updateWord = "update"

// updateOptions are its flags.
type updateOptions struct {
	options
	oldLock, take string
	old, next     string // folders of builds
	full, peers   bool
}

func parseUpdate(args []string) (updateOptions, error) {
	var o updateOptions
	f := flag.NewFlagSet("bench update", flag.ContinueOnError)
	f.StringVar(&o.program, "wellcar", "bin/wellcar", "the program that builds")
	f.StringVar(&o.recipe, "recipe", "image", "folder of the image's recipe")
	f.StringVar(&o.oldLock, "old-lock", "", "a lock with the older versions")
	f.StringVar(&o.take, "take", ".", "regular expression of the packages that are older")
	f.StringVar(&o.old, "old", "", "folder of the older build, instead of -old-lock")
	f.StringVar(&o.next, "new", "", "folder of the newer build, with -old")
	f.BoolVar(&o.full, "full", true, "make the full payload and its index too")
	f.BoolVar(&o.peers, "peers", true, "measure zstd, xdelta3 and casync too, and count for RAUC")
	f.StringVar(&o.cache, "cache", os.Getenv("WELLCAR_CACHE"), "cache folder (default: the user's)")
	f.StringVar(&o.archive, "archive", os.Getenv("WELLCAR_ARCHIVE"), "address of the Debian archive (default: the host's)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if (o.oldLock == "") == (o.old == "") || (o.old == "") != (o.next == "") {
		return o, fmt.Errorf("name an older lock with -old-lock, or two builds with -old and -new")
	}
	o.config = "none"
	return o, o.absolute()
}

// updateRow is one line of the table.
type updateRow struct {
	what  string
	bytes int64
	cost  usage
	skip  string
}

// benchUpdate measures and prints.
func benchUpdate(ctx context.Context, args []string) error {
	o, err := parseUpdate(args)
	if err != nil {
		return err
	}
	dir := filepath.Join(o.cache, "bench", "update")
	if o.old == "" {
		if o.old, o.next, err = o.builds(ctx, dir); err != nil {
			return err
		}
	}
	p, err := newUpdatePair(ctx, dir, o.old, o.next)
	if err != nil {
		return err
	}
	rows := p.own(ctx, o.full)
	if o.peers {
		rows = append(append(rows, p.others(ctx, o)...), p.rauc())
	}
	fmt.Printf("/usr %.1f MB, kernel image %.1f MB\n\n", float64(p.usrSize)/1e6, float64(p.ukiSize)/1e6)
	return printUpdate(rows)
}

func printUpdate(rows []updateRow) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tMB\tCPU\tpeak memory")
	for _, r := range rows {
		if r.skip != "" {
			fmt.Fprintf(t, "%s\tskipped: %s\n", r.what, strings.ReplaceAll(r.skip, "\n", " "))
			continue
		}
		size := "-"
		if r.bytes > 0 {
			size = fmt.Sprintf("%.3f", float64(r.bytes)/1e6)
		}
		if r.cost == (usage{}) { // counted, not run
			fmt.Fprintf(t, "%s\t%s\t-\t-\n", r.what, size)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f s\t%.0f MB\n", r.what, size, r.cost.cpu.Seconds(), float64(r.cost.memory)/1e6)
	}
	return t.Flush()
}

// builds makes both images.
func (o updateOptions) builds(ctx context.Context, dir string) (old, next string, err error) {
	current, err := readLock(filepath.Join(o.recipe, "lock.json"))
	if err != nil {
		return "", "", err
	}
	before, err := readLock(o.oldLock)
	if err != nil {
		return "", "", err
	}
	take, err := regexp.Compile(o.take)
	if err != nil {
		return "", "", fmt.Errorf("-take: %w", err)
	}
	mixed, changes := mixLocks(current, before, take)
	for _, c := range changes {
		fmt.Fprintln(os.Stderr, c)
	}
	for name, l := range map[string]lock.Lock{"old": mixed, "new": current} {
		if err := o.build(ctx, filepath.Join(dir, name), l); err != nil {
			return "", "", err
		}
	}
	return filepath.Join(dir, "old", "out"), filepath.Join(dir, "new", "out"), nil
}

func readLock(name string) (lock.Lock, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return lock.Lock{}, err
	}
	return lock.Parse(data)
}

var digits = regexp.MustCompile(`[0-9]+`)

// mixLocks takes from an older lock the packages of the image whose names
// match. A package whose name has its version in it, as kernels do, replaces
// the one whose name differs in numbers only.
func mixLocks(current, before lock.Lock, take *regexp.Regexp) (mixed lock.Lock, changes []string) {
	older := map[string]lock.Package{}
	for _, p := range before.Group("image") {
		if key := digits.ReplaceAllString(p.Name, "#"); take.MatchString(p.Name) {
			older[key], older[p.Name] = p, p
		}
	}
	mixed = current
	mixed.Packages = nil
	for _, p := range current.Packages {
		q, ok := older[p.Name]
		if !ok && strings.HasPrefix(p.Name, "linux-image") {
			q, ok = older[digits.ReplaceAllString(p.Name, "#")]
		}
		if ok && q.ID() != p.ID() && strings.Contains(strings.Join(p.Groups, " "), "image") {
			changes = append(changes, q.ID()+" to "+p.ID())
			q.Groups = p.Groups
			p = q
		}
		mixed.Packages = append(mixed.Packages, p)
	}
	return mixed, changes
}

// build makes one image in dir/out from a copy of the recipe with that lock.
func (o updateOptions) build(ctx context.Context, dir string, l lock.Lock) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	recipe := filepath.Join(dir, "recipe")
	if err := os.CopyFS(recipe, os.DirFS(o.recipe)); err != nil {
		return err
	}
	data, err := lock.Marshal(l)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(recipe, "lock.json"), data, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, o.program, "build", "--lock=require", "--recipe", recipe, "--out", filepath.Join(dir, "out"))
	cmd.Env = append(os.Environ(), "WELLCAR_CACHE="+o.cache)
	_, _, err = run(ctx, cmd, filepath.Join(dir, "log"))
	return err
}

// updatePair is two builds, and where results go.
type updatePair struct {
	dir, old, next   string
	usrSize, ukiSize int64
}

func newUpdatePair(ctx context.Context, dir, old, next string) (*updatePair, error) {
	r, err := image.ReadRecord(next)
	if err != nil {
		return nil, err
	}
	return &updatePair{filepath.Join(dir, "results"), old, next, r.Usr.DataSize, r.UKI.Size}, os.MkdirAll(filepath.Join(dir, "results"), 0o755)
}

// own measures our payloads. Each step is a process of its own, so that its
// memory is known.
func (p *updatePair) own(ctx context.Context, full bool) []updateRow {
	delta, whole := filepath.Join(p.dir, "delta"), filepath.Join(p.dir, "full")
	rows := []updateRow{
		p.step(ctx, "make the delta", "make-delta", p.old, p.next, delta),
		p.step(ctx, "apply the delta", "apply", p.old, p.next, delta, filepath.Join(p.dir, "slot")),
	}
	if full {
		rows = append(rows,
			p.step(ctx, "make the full payload", "make-full", p.old, p.next, whole),
			p.step(ctx, "apply the full payload", "apply", p.old, p.next, whole, filepath.Join(p.dir, "slot")),
			p.step(ctx, "fetch by the block index", "needs", p.old, p.next, whole))
	}
	return rows
}

func (p *updatePair) step(ctx context.Context, what string, args ...string) updateRow {
	self, err := os.Executable()
	if err != nil {
		return updateRow{what: what, skip: err.Error()}
	}
	fmt.Fprintln(os.Stderr, what)
	cmd := exec.CommandContext(ctx, self, append([]string{updateStepWord}, args...)...)
	cost, out, err := run(ctx, cmd, filepath.Join(p.dir, "log", args[0]))
	var result struct{ Bytes int64 }
	if err == nil {
		err = json.Unmarshal(out, &result)
	}
	if err != nil {
		return updateRow{what: what, skip: err.Error()}
	}
	return updateRow{what: what, bytes: result.Bytes, cost: cost}
}
