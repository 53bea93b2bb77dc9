//go:build linux

package network

import (
	"context"
	"errors"
	"slices"
	"time"
)

// task is one of several ways.
type task struct {
	name   string // for people; empty: it is part of another
	do     func(context.Context) error
	others time.Duration // that the others have after its success; 0: as long as they want
}

// errLate stands for a task that has not ended.
var errLate = errors.New("it has no answer yet")

// race is how far tasks that began together have got.
type race struct {
	tasks []task
	errs  []error   // errLate: not ended
	until time.Time // when the wait for the others is over; zero: not before they end
}

func newRace(tasks []task) *race {
	return &race{tasks: tasks, errs: slices.Repeat([]error{errLate}, len(tasks))}
}

// ended takes the end of a task.
func (r *race) ended(i int, err error, now time.Time) {
	r.errs[i] = err
	if others := r.tasks[i].others; err == nil && others > 0 {
		if until := now.Add(others); r.until.IsZero() || until.Before(r.until) {
			r.until = until
		}
	}
}

// over tells whether nothing is to be waited for any more.
func (r *race) over(now time.Time) bool {
	return !slices.Contains(r.errs, errLate) || !r.until.IsZero() && !now.Before(r.until)
}

// joined takes one more task.
func (r *race) joined(t task) { r.tasks, r.errs = append(r.tasks, t), append(r.errs, errLate) }

// together begins tasks, those too that join meanwhile, and returns what came
// of each once the race is over. Those that have not ended go on, as do those
// that join after it; came hears of each end first.
func (n *Network) together(ctx context.Context, tasks []task, join <-chan task) []error {
	type end struct {
		i   int
		err error
	}
	ends, over := make(chan end), make(chan struct{})
	begin := func(i int, t task) {
		n.begin(ctx, t, func(err error) {
			select {
			case ends <- end{i, err}:
			case <-over:
			}
		})
	}
	r := newRace(tasks)
	for i, t := range tasks {
		begin(i, t)
	}
	late := time.NewTimer(time.Hour)
	defer late.Stop()
	for !r.over(time.Now()) {
		if !r.until.IsZero() {
			late.Reset(time.Until(r.until))
		}
		select {
		case e := <-ends:
			r.ended(e.i, e.err, time.Now())
		case t := <-join:
			r.joined(t)
			begin(len(r.tasks)-1, t)
		case <-late.C:
		}
	}
	close(over)
	if join != nil {
		n.asking.Go(func() { n.follow(ctx, join) })
	}
	for i, err := range r.errs {
		if err == errLate && r.tasks[i].name != "" {
			n.logf("%s has no answer yet, and goes on asking", r.tasks[i].name)
		}
	}
	return r.errs
}

// begin lets a task run until it or the context ends.
func (n *Network) begin(ctx context.Context, t task, ended func(error)) {
	n.mu.Lock()
	n.open++
	n.mu.Unlock()
	n.asking.Go(func() {
		err := t.do(ctx)
		n.came(ctx, err)
		ended(err)
	})
}

// follow begins tasks that come after the race.
func (n *Network) follow(ctx context.Context, tasks <-chan task) {
	for {
		select {
		case t := <-tasks:
			n.begin(ctx, t, func(error) {})
		case <-ctx.Done():
			return
		}
	}
}
