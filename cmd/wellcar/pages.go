package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/page"
	"wellcar.dev/internal/qemu"
)

const testLong = `Runs documentation pages: boots the machine that a page's front matter and
butane blocks describe, types the commands of its console and host blocks and
compares what comes with the lines that follow them. Without PAGE all pages
below docs/ are run. A folder means all pages below it.

Commands on the host see SSH (a command that logs in), SSH_PORT, SSH_KEY,
MONITOR (QEMU's QMP socket, for "wellcar qmp"), the PORT_<guest port> of the
front matter and, where that has "segment: true", SEGMENT (for "wellcar run
--segment $SEGMENT", which starts a machine on the network of the page's).`

// testOptions are the flags of test.
type testOptions struct {
	image    string
	accel    string
	machines int
	timeout  time.Duration
	logs     string
	have     []string
	again    bool
}

func testCommand(a *app) *cobra.Command {
	o := &testOptions{}
	c := &cobra.Command{
		Use:     "test [PAGE.md...]",
		Short:   "Run documentation pages as tests",
		Long:    testLong,
		Example: `  wellcar test docs/timers.md`,
	}
	f := c.Flags()
	f.StringVar(&o.image, "image", "", "disk image to boot instead of the built one")
	f.StringVar(&o.accel, "accel", "auto", "auto, kvm or tcg")
	f.IntVar(&o.machines, "machines", 2, "how many machines may run at the same time")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long a machine may take to become ready")
	f.StringVar(&o.logs, "logs", "", "folder for the consoles of the machines")
	f.BoolVar(&o.again, "again", false, "run pages that fail once more, one machine at a time")
	f.StringArrayVar(&o.have, "have", nil, "something that pages may need and that is there (repeatable)")
	c.RunE = func(c *cobra.Command, args []string) error { return testPages(c.Context(), a, o, args) }
	return c
}

func testPages(ctx context.Context, a *app, o *testOptions, args []string) error {
	accel, err := qemu.ParseAccel(o.accel)
	if err != nil {
		return withCode(exitUsage, err)
	}
	pages, err := readPages(args)
	if err != nil {
		return withCode(exitUsage, err)
	}
	h := &host{app: a}
	if anyRuns(pages) {
		if h, err = prepareHost(ctx, a, o.image); err != nil {
			return err
		}
	}
	defer h.close()
	path, remove, err := commandPath(h.self)
	if err != nil {
		return err
	}
	defer remove()
	t := pageTester{h, o, accel}
	r := page.Runner{
		Start: t.start, Machines: o.machines, Report: a.reportPage, Have: o.have,
		Host: func(ctx context.Context, command string, env []string) (page.Output, error) {
			return runOnHost(ctx, command, append(env, "PATH="+path))
		},
	}
	if a.joins.containers != nil {
		r.Have = append(r.Have, "registry")
	}
	results := r.Run(ctx, pages)
	if o.again {
		results = r.Again(ctx, pages, results)
	}
	if a.show.total(results) > 0 {
		return exitError{code: exitDiffers}
	}
	return ctx.Err()
}

// total counts pages, after it has named those that failed once, and returns
// how many failed.
func (p *printer) total(results []page.Result) int {
	again := 0
	for _, r := range results {
		if r.Second && r.Status == page.Passed {
			again++
			p.result("second_try", map[string]any{"page": r.File}, secondTry+r.File)
		}
	}
	passed, failed, skipped := page.Count(results)
	text := fmt.Sprintf("%d passed, %d failed, %d skipped", passed, failed, skipped)
	if again > 0 {
		text += fmt.Sprintf("; %d of them on the second try", again)
	}
	p.result("total", map[string]any{"passed": passed, "failed": failed, "skipped": skipped, "second_try": again}, text)
	return failed
}

// secondTry begins the line of a page that failed once; test/all reads it.
const secondTry = "passed on the second try: "

func anyRuns(pages []page.Page) bool {
	for _, p := range pages {
		if p.Runs() {
			return true
		}
	}
	return false
}

// readPages parses files, and all pages below folders; all errors are reported.
func readPages(names []string) ([]page.Page, error) {
	if len(names) == 0 {
		names = []string{"docs"}
	}
	var pages []page.Page
	var errs []error
	seen := map[string]bool{}
	for _, name := range names {
		err := filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || seen[file] || file != name && filepath.Ext(file) != ".md" {
				return err
			}
			seen[file] = true
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			p, err := page.Parse(filepath.ToSlash(file), data)
			if err != nil {
				errs = append(errs, err)
				return nil
			}
			pages = append(pages, p)
			return nil
		})
		errs = append(errs, err)
	}
	return pages, errors.Join(errs...)
}

// reportPage prints one line per page, and the reason of a failure below it.
func (a *app) reportPage(r page.Result) {
	fields := map[string]any{"page": r.File, "status": r.Status, "seconds": r.Took.Seconds()}
	text := fmt.Sprintf("%-7s %s (%.1f s)", r.Status, r.File, r.Took.Seconds())
	switch r.Status {
	case page.Failed:
		text += "\n    " + strings.ReplaceAll(strings.TrimRight(r.Reason, "\n"), "\n", "\n    ")
	case page.Skipped:
		text = fmt.Sprintf("%-7s %s: %s", r.Status, r.File, r.Reason)
	}
	if r.Reason != "" {
		fields["reason"], fields["line"] = r.Reason, r.Line
	}
	if len(r.Rows) > 0 {
		fields["rows"] = r.Rows
	}
	a.show.result("page", fields, text)
}

// commandPath is PATH with this program in front, as "wellcar".
func commandPath(self string) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "wellcar-path-")
	if err != nil {
		return "", nil, fmt.Errorf("making a folder for commands on the host: %w", err)
	}
	if self != "" {
		if err := os.Symlink(self, filepath.Join(dir, "wellcar")); err != nil {
			return "", nil, fmt.Errorf("naming this program for commands on the host: %w", err)
		}
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH"), func() { os.RemoveAll(dir) }, nil
}

// runOnHost runs a command in a shell of the host.
func runOnHost(ctx context.Context, command string, env []string) (page.Output, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return page.Output{Text: out.String(), Code: exit.ExitCode()}, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return page.Output{Text: out.String()}, err
}
