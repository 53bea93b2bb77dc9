package page

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// visit is a page on its way through a machine.
type visit struct {
	Result
	steps []typedStep // that are left
	limit time.Duration
}

type typedStep struct {
	Kind
	Command
}

func (r Runner) visit(p Page) *visit {
	v := &visit{Result: Result{File: p.File, Rows: p.Meta.Rows, Status: Passed}, limit: r.limit(p)}
	for _, b := range p.Blocks {
		for _, c := range b.Commands {
			v.steps = append(v.steps, typedStep{b.Kind, c})
		}
	}
	return v
}

// plainReboot matches commands by which a machine just restarts, so that one
// restart will do for all pages that wait for one.
var plainReboot = regexp.MustCompile(`^(systemctl )?reboot$`)

func (s typedStep) plain() bool {
	return s.Kind == Console && s.Root && !s.Command.Reboot && plainReboot.MatchString(s.Text)
}

// round takes each page to its end or to a restart, restarts the machine once,
// and returns the pages that go on from there.
func (r Runner) round(ctx context.Context, s Session, on []*visit, done func(Result)) []*visit {
	var waiting []*visit
	for _, v := range on {
		r.follow(ctx, s, v)
		if len(v.steps) == 0 {
			done(v.Result)
			continue
		}
		waiting = append(waiting, v)
	}
	if len(waiting) == 0 {
		return nil
	}
	began, left := time.Now(), time.Duration(0)
	for _, v := range waiting {
		left = max(left, v.limit-v.Took)
	}
	step := waiting[0].steps[0]
	limited, stop := context.WithTimeoutCause(ctx, left, timeOver(left))
	defer stop()
	err := r.runCommand(limited, s, step.Kind, step.Command)
	var next []*visit
	for _, v := range waiting {
		v.Took += time.Since(began)
		if err != nil {
			v.fail(v.steps[0], err)
			done(v.Result)
			continue
		}
		v.steps = v.steps[1:]
		next = append(next, v)
	}
	return next
}

// follow runs the commands of a page up to its end, its failure or the next
// plain restart.
func (r Runner) follow(ctx context.Context, s Session, v *visit) {
	ctx, stop := context.WithTimeoutCause(ctx, v.limit-v.Took, timeOver(v.limit))
	defer stop()
	began := time.Now()
	defer func() { v.Took += time.Since(began) }()
	for len(v.steps) > 0 && !v.steps[0].plain() {
		step := v.steps[0]
		if err := r.runCommand(ctx, s, step.Kind, step.Command); err != nil {
			v.fail(step, err)
			return
		}
		v.steps = v.steps[1:]
	}
}

// fail ends the page.
func (v *visit) fail(step typedStep, err error) {
	v.Status, v.Line, v.Reason = Failed, step.Line, describe(v.File, step.Kind, step.Command, err)
	v.steps = nil
}

func timeOver(limit time.Duration) error { return fmt.Errorf("the page's time of %s is over", limit) }
