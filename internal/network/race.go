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

// together begins tasks and returns what came of each once the race is over.
// Those that have not ended go on; came hears of each end first.
func (n *Network) together(ctx context.Context, tasks []task) []error {
	type end struct {
		i   int
		err error
	}
	ends := make(chan end, len(tasks))
	n.begin(len(tasks))
	for i, t := range tasks {
		n.asking.Go(func() {
			err := t.do(ctx)
			n.came(ctx, err)
			ends <- end{i, err}
		})
	}
	r := newRace(tasks)
	late := time.NewTimer(time.Hour)
	defer late.Stop()
	for !r.over(time.Now()) {
		if !r.until.IsZero() {
			late.Reset(time.Until(r.until))
		}
		select {
		case e := <-ends:
			r.ended(e.i, e.err, time.Now())
		case <-late.C:
		}
	}
	for i, err := range r.errs {
		if err == errLate && tasks[i].name != "" {
			n.logf("%s has no answer yet, and goes on asking", tasks[i].name)
		}
	}
	return r.errs
}
