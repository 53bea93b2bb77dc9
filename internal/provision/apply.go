package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"sync"
	"time"

	"wellcar.dev/internal/sys/rootfs"
)

// Files changes files of a target. *rootfs.Root is one; see there for what
// each method means. Names are absolute paths of the target.
type Files interface {
	Lstat(name string) (rootfs.Info, error)
	Stat(name string) (rootfs.Info, error)
	Readlink(name string) (string, error)
	Resolve(name string) (string, error)
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]string, error)
	Mkdir(name string, perm uint32) error
	MkdirAll(name string, perm uint32) error
	WriteFile(name string, data []byte, m rootfs.Meta) error
	AppendFile(name string, data []byte, perm uint32) error
	WriteFrom(name string, m rootfs.Meta, write func(io.Writer) error) error
	AppendFrom(name string, perm uint32, write func(io.Writer) error) error
	ReadTo(name string, w io.Writer) error
	Symlink(target, name string) error
	Link(old, name string) error
	Chown(name string, uid, gid int) error
	Chmod(name string, perm uint32) error
	RemoveAll(name string) error
	As(uid, gid int, f func() error) error
	Sync(names ...string) error
}

// Target is the machine that a plan is applied to.
type Target struct {
	Files Files
	// Run runs a program of the target with the target as its root directory
	// and returns its stdout. Nil: no program can be run.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
	// RunHere runs a program of this machine, found by its name, for a target
	// that has none of its own. Nil: no program can be run.
	RunHere func(ctx context.Context, name string, args ...string) ([]byte, error)
	// Fetch gets contents that are not embedded in the config. Nil: a step
	// that needs it fails.
	Fetch Fetcher
	// State has what earlier stages left, and takes what later ones need. Nil:
	// an empty one of the target's own.
	State *State
	// Disks reaches the disks for the stages disks, mount and umount. Nil: a
	// step that needs it fails.
	Disks Disks
	// Kernel changes the kernel command line. Nil: a step that needs it fails.
	Kernel KernelLine
	// Root is the directory of this machine that is the target's root; empty
	// is "/".
	Root string
	// PlainKeys puts SSH keys into ~/.ssh/authorized_keys.
	PlainKeys bool
	// Start hears of each step that begins. May be nil.
	Start func(index int, s Step)
	// Step hears of each step that ended. May be nil.
	Step   func(index int, s Step, r StepResult)
	BootID string           // of the boot that provisions
	Now    func() time.Time // nil: time.Now
	NoSync bool             // leave writing to disk to someone else
}

// StepResult is what came of a step.
type StepResult struct {
	Outcome  Outcome
	Duration time.Duration
	Err      error // if Failed
}

// StepError is the failure of a step.
type StepError struct {
	Step Step
	Err  error
}

// Error is one sentence with the place in the user's text.
func (e *StepError) Error() string {
	text := e.Step.Action.Summary()
	text.Detail = ""
	sentence := fmt.Sprintf("cannot %s: %v", text, e.Err)
	if at := e.Step.At.String(); at != "" {
		return at + ": " + sentence
	}
	return sentence
}

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// machine is a target while a plan is applied to it.
type machine struct {
	Target
	restart bool            // the machine must, before the next step
	presets map[string]bool // lines of the preset file; nil: not read yet
	telling sync.Mutex      // held while Step is called
}

// Apply takes the steps of all stages; see ApplyStages.
func Apply(ctx context.Context, p Plan, t Target) error {
	return ApplyStages(ctx, p, t, Stages...)
}

// ApplyStages takes the steps of some stages of a plan in order and stops at
// the first that fails, with a *StepError, and where the machine must restart,
// with ErrRestart. In the end everything is on the
// disk, also after a failure. Step indexes are those of the plan.
func ApplyStages(ctx context.Context, p Plan, t Target, stages ...Stage) error {
	m := &machine{Target: t}
	if m.Now == nil {
		m.Now = time.Now
	}
	if m.State == nil {
		m.State = &State{}
	}
	err := m.steps(ctx, p.Steps, stages)
	if t.NoSync || t.Files == nil {
		return err
	}
	if syncErr := m.Files.Sync("/oem"); err == nil {
		err = syncErr
	}
	return err
}

func (m *machine) steps(ctx context.Context, steps []Step, stages []Stage) error {
	ordered := false
	for i := 0; i < len(steps); i++ {
		if !slices.Contains(stages, steps[i].Stage) {
			continue
		}
		// The order of nodes depends on the links of the target, which the
		// steps before them (users with homes) may have made.
		if _, isNode := steps[i].Action.(noder); isNode && !ordered {
			ordered = true
			var err error
			if steps, err = m.orderNodes(steps); err != nil {
				return err
			}
		}
		last := parallelEnd(steps, i)
		if err := m.several(ctx, i, steps[i:last]); err != nil {
			return err
		}
		if m.restart {
			return ErrRestart
		}
		i = last - 1
	}
	return nil
}

func (m *machine) step(ctx context.Context, i int, s Step) error {
	if m.Start != nil {
		m.Start(i, s)
	}
	start := time.Now()
	r := StepResult{}
	if r.Err = ctx.Err(); r.Err == nil {
		r.Outcome, r.Err = s.Action.do(ctx, m)
	}
	r.Duration = time.Since(start)
	if r.Err != nil {
		var placed *placedError
		if errors.As(r.Err, &placed) && !placed.at.IsZero() {
			s.At = placed.at
		}
		r.Outcome, r.Err = Failed, &StepError{s, r.Err}
	}
	m.tell(i, s, r)
	return r.Err
}

func (m *machine) tell(i int, s Step, r StepResult) {
	m.telling.Lock()
	defer m.telling.Unlock()
	if m.Step != nil {
		m.Step(i, s, r)
	}
}

// orderNodes resolves the paths of all nodes on the target, refuses two that
// are one, and returns the steps with the nodes ordered by resolved depth.
func (m *machine) orderNodes(steps []Step) ([]Step, error) {
	out := append([]Step(nil), steps...)
	first, end := -1, -1
	seen := map[string]Step{}
	for i, s := range out {
		n, ok := s.Action.(noder)
		if !ok {
			continue
		}
		if first < 0 {
			first = i
		}
		end = i + 1
		resolved, err := m.Files.Resolve(n.node().Path)
		if err != nil {
			return nil, &StepError{s, err}
		}
		n.node().resolved = resolved
		if other, twice := seen[resolved]; twice {
			return nil, &StepError{s, fmt.Errorf("through links it is the same path as %s (%s), %s",
				other.Action.Summary().Name, other.At, resolved)}
		}
		seen[resolved] = s
	}
	for end < len(out) && isAppend(out[end]) {
		end++
	}
	sortNodes(out[first:end])
	return out, nil
}

func isAppend(s Step) bool {
	_, ok := s.Action.(*AppendFile)
	return ok
}

// sortNodes sorts nodes, keeping what is appended to a file behind it.
func sortNodes(steps []Step) {
	var groups [][]Step
	for _, s := range steps {
		if isAppend(s) {
			groups[len(groups)-1] = append(groups[len(groups)-1], s)
			continue
		}
		groups = append(groups, []Step{s})
	}
	sort.SliceStable(groups, func(i, j int) bool {
		a, c := groups[i][0].Action.(noder), groups[j][0].Action.(noder)
		return nodeBefore(a, c, a.node().resolved, c.node().resolved)
	})
	at := 0
	for _, g := range groups {
		at += copy(steps[at:], g)
	}
}

// tool runs one of the programs that can change another root: the target's
// own, else this machine's.
func (m *machine) tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	if m.RunHere != nil {
		if _, err := m.Files.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return m.RunHere(ctx, path.Base(name), append([]string{"--root", cmp.Or(m.Root, "/")}, args...)...)
		}
	}
	if name == systemctl { // which must not ask the manager of this machine
		args = append([]string{"--root=/"}, args...)
	}
	return m.run(ctx, name, args...)
}

// run runs a program of the target.
func (m *machine) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	if m.Run == nil {
		return nil, errors.New("running " + name + ": programs of this target cannot be run")
	}
	return m.Run(ctx, name, args...)
}
