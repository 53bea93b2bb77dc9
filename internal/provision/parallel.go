package provision

import (
	"context"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
)

// parallelAction is an action that may be taken at the same time as its
// neighbours of the kind.
type parallelAction interface {
	Action
	parallel()
}

// parallelEnd is the index behind the steps that are taken together with the
// one at first.
func parallelEnd(steps []Step, first int) int {
	end := first
	for end < len(steps) && steps[end].Stage == steps[first].Stage {
		if _, ok := steps[end].Action.(parallelAction); !ok {
			break
		}
		end++
	}
	return max(end, first+1)
}

// several takes steps at the same time, as many as there are processors, and
// reports all failures.
func (m *machine) several(ctx context.Context, first int, steps []Step) error {
	if len(steps) == 1 {
		return m.step(ctx, first, steps[0])
	}
	errs := make([]error, len(steps))
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i, s := range steps {
		g.Go(func() error {
			errs[i] = m.step(ctx, first+i, s)
			return nil
		})
	}
	_ = g.Wait() // errors are in errs, in the order of the steps
	return joinSteps(errs)
}

// stepErrors are the failures of several steps, in one sentence.
type stepErrors []error

func joinSteps(errs []error) error {
	var all stepErrors
	for _, err := range errs {
		if err != nil {
			all = append(all, err)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

func (e stepErrors) Error() string {
	words := make([]string, len(e))
	for i, err := range e {
		words[i] = err.Error()
	}
	return strings.Join(words, "; and ")
}

// Unwrap gives the failures.
func (e stepErrors) Unwrap() []error { return e }
