package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Output is what a command left: both streams as a terminal shows them, and
// the exit status.
type Output struct {
	Text string
	Code int
}

// Session is a machine that runs.
type Session interface {
	// Run types a command as core or as root.
	Run(ctx context.Context, command string, root bool) (Output, error)
	// Reboot types a command that reboots and returns when the machine is back.
	Reboot(ctx context.Context, command string, root bool) error
	// Env is the variables for commands on the host: SSH_PORT=2222, ...
	Env() []string
	Close() error
}

// Status of a page.
type Status string

// What becomes of a page.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is the outcome of a page.
type Result struct {
	File   string        `json:"page"`
	Rows   []string      `json:"rows,omitempty"`
	Status Status        `json:"status"`
	Line   int           `json:"line,omitempty"` // where it failed
	Reason string        `json:"reason,omitempty"`
	Took   time.Duration `json:"took_ns"`              // without the boot
	Second bool          `json:"second_try,omitempty"` // it failed before: see Again
}

// Runner runs pages. Start boots a machine; its error fails the pages.
type Runner struct {
	Start    func(ctx context.Context, b Boot) (Session, error)
	Host     func(ctx context.Context, command string, env []string) (Output, error)
	Have     []string      // what of Meta.Needs is there
	Machines int           // at the same time; 0: 2
	Timeout  time.Duration // of a page that names none; 0: 5 minutes
	Report   func(Result)  // called as each page ends, one call at a time; may be nil
}

// retryPace is the pause between two tries of a command that waits.
const retryPace = 500 * time.Millisecond

// Run runs all pages and returns their results in the given order. A page
// that cannot run is skipped with a reason. Failures are results, not errors.
func (r Runner) Run(ctx context.Context, pages []Page) []Result {
	results := make([]Result, len(pages))
	index := map[string]int{}
	var mu sync.Mutex
	done := func(res Result) {
		mu.Lock()
		defer mu.Unlock()
		results[index[res.File]] = res
		if r.Report != nil {
			r.Report(res)
		}
	}
	var ready []Page
	for i, p := range pages {
		index[p.File] = i
		if why := r.obstacle(p); why != "" {
			done(Result{File: p.File, Rows: p.Meta.Rows, Status: Skipped, Reason: why})
			continue
		}
		ready = append(ready, p)
	}
	var g errgroup.Group
	if r.Machines == 0 {
		r.Machines = 2
	}
	g.SetLimit(r.Machines)
	for _, b := range r.longestFirst(Group(ready)) {
		g.Go(func() error {
			r.runBoot(ctx, b, done)
			return nil
		})
	}
	_ = g.Wait()
	return results
}

// Again runs the pages that failed once more, on one machine at a time, and
// returns the results with theirs. What fails because two machines share a busy
// host passes then; what is wrong fails again.
func (r Runner) Again(ctx context.Context, pages []Page, results []Result) []Result {
	r.Machines = 1
	var failed []Page
	var places []int
	for i, res := range results {
		if res.Status == Failed {
			failed, places = append(failed, pages[i]), append(places, i)
		}
	}
	results = slices.Clone(results)
	for k, res := range r.Run(ctx, failed) {
		res.Second = true
		results[places[k]] = res
	}
	return results
}

// longestFirst puts boots whose pages may take long before others, so that no
// machine is alone at the end.
func (r Runner) longestFirst(boots []Boot) []Boot {
	limit := func(b Boot) (sum time.Duration) {
		for _, p := range b.Pages {
			sum += r.limit(p)
		}
		return sum
	}
	slices.SortStableFunc(boots, func(a, b Boot) int { return cmp.Compare(limit(b), limit(a)) })
	return boots
}

// limit is how long the commands of a page may take together.
func (r Runner) limit(p Page) time.Duration {
	return cmp.Or(time.Duration(p.Meta.Timeout), r.Timeout, 5*time.Minute)
}

func (r Runner) obstacle(p Page) string {
	if !p.Runs() {
		return "it has nothing to run"
	}
	for _, need := range p.Meta.Needs {
		if !slices.Contains(r.Have, need) {
			return "it needs " + need
		}
	}
	return ""
}

func (r Runner) runBoot(ctx context.Context, b Boot, done func(Result)) {
	var s Session = noMachine{}
	if b.Boots() {
		started, err := r.Start(ctx, b)
		if err != nil {
			for _, p := range b.Pages {
				done(Result{File: p.File, Rows: p.Meta.Rows, Status: Failed, Reason: "booting its machine: " + err.Error()})
			}
			return
		}
		defer started.Close()
		s = started
	}
	var on []*visit
	for _, p := range b.Pages {
		on = append(on, r.visit(p))
	}
	for len(on) > 0 {
		on = r.round(ctx, s, on, done)
	}
}

func describe(file string, kind Kind, c Command, err error) string {
	sign := "$"
	if c.Root {
		sign = "#"
	}
	where := ""
	if kind == Host {
		where = " (on the host)"
	}
	return fmt.Sprintf("%s:%d: %s %s%s\n%v", file, c.Line, sign, c.Text, where, err)
}

// reboots matches commands after which the connection is gone, of which the
// page need not say so.
var reboots = regexp.MustCompile(`^(sudo )?(systemctl )?(reboot|kexec)( --?[a-z-]+)*$`)

func (r Runner) runCommand(ctx context.Context, s Session, kind Kind, c Command) error {
	if c.Reboot || kind == Console && reboots.MatchString(strings.TrimSpace(c.Text)) {
		return s.Reboot(ctx, c.Text, c.Root)
	}
	if c.Wait == 0 {
		return r.try(ctx, s, kind, c)
	}
	limited, stop := context.WithTimeoutCause(ctx, c.Wait, fmt.Errorf("it did not come within %s", c.Wait))
	defer stop()
	return r.retry(limited, s, kind, c)
}

// retry repeats a command until its output matches. The state of a machine
// that an arbitrary command asks for announces itself to nobody.
func (r Runner) retry(ctx context.Context, s Session, kind Kind, c Command) error {
	var last error
	for {
		err := r.try(ctx, s, kind, c)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		pause := time.NewTimer(retryPace)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w; the last try: %w", context.Cause(ctx), last)
		}
	}
}

func (r Runner) try(ctx context.Context, s Session, kind Kind, c Command) error {
	var out Output
	var err error
	switch {
	case kind == Console:
		out, err = s.Run(ctx, c.Text, c.Root)
	case r.Host == nil:
		err = errors.New("nothing runs commands on the host")
	default:
		out, err = r.Host(ctx, c.Text, s.Env())
	}
	if err != nil {
		return err
	}
	return c.Check(out)
}

// Check compares what came with what the page wants.
func (c Command) Check(out Output) error {
	if len(c.Want) > 0 && !Match(c.Want, out.Text) {
		return fmt.Errorf("the output differs (- wanted, + came; exit status %d):\n%s", out.Code, Diff(c.Want, out.Text))
	}
	if c.Status != AnyStatus && c.Status != out.Code || c.Status == AnyStatus && len(c.Want) == 0 && out.Code != 0 {
		return fmt.Errorf("exit status %d:\n%s", out.Code, Diff(nil, out.Text))
	}
	return nil
}

// noMachine serves pages that only have host blocks.
type noMachine struct{}

func (noMachine) Run(context.Context, string, bool) (Output, error) {
	return Output{}, errors.New("the page has no machine")
}
func (noMachine) Reboot(context.Context, string, bool) error {
	return errors.New("the page has no machine")
}
func (noMachine) Env() []string { return nil }
func (noMachine) Close() error  { return nil }

// Count adds results up.
func Count(results []Result) (passed, failed, skipped int) {
	for _, r := range results {
		switch r.Status {
		case Passed:
			passed++
		case Failed:
			failed++
		case Skipped:
			skipped++
		}
	}
	return passed, failed, skipped
}
