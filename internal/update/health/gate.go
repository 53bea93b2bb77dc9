//go:build linux

package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Gate runs checks.
type Gate struct {
	Probe Prober
	After func(time.Duration) <-chan time.Time
	Logf  func(format string, args ...any)
}

// Prober tries a check once; nil means that it holds.
type Prober func(ctx context.Context, c Check) error

// Prove returns nil when every check holds; the error is one sentence.
func (g Gate) Prove(ctx context.Context, checks []Check) error {
	checks = slices.Clone(checks)
	if err := g.all(ctx, checks, g.await); err != nil {
		return err
	}
	return g.all(ctx, checks, func(ctx context.Context, c *Check) error {
		if err := g.try(ctx, *c); err != nil {
			return fmt.Errorf("%s held and then did not: %w", c, err)
		}
		return nil
	})
}

func (g Gate) all(ctx context.Context, checks []Check, do func(context.Context, *Check) error) error {
	errs := make([]error, len(checks))
	var wait sync.WaitGroup
	for i := range checks {
		wait.Go(func() { errs[i] = do(ctx, &checks[i]) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the first in the order of the files; the others are in the log
		}
	}
	return nil
}

// await tries a check until it holds, or its time or its tries are up. The
// default one is then tried once more, less strictly.
func (g Gate) await(ctx context.Context, c *Check) error {
	late := g.After(c.deadline)
	for n := 0; ; n++ {
		err := g.try(ctx, *c)
		if err == nil {
			g.Logf("health: %s holds", c)
			return nil
		}
		if n == 0 {
			g.Logf("health: %s: %v", c, err)
		}
		if c.Retries > 0 && n >= c.Retries {
			return fmt.Errorf("%s did not hold in %d tries: %w", c, n+1, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			if c.late = c.base; c.late {
				if err = g.try(ctx, *c); err == nil {
					g.Logf("health: %s holds, but for units of the owner that are still at work", c)
					return nil
				}
			}
			return fmt.Errorf("%s did not hold within %s: %w", c, c.deadline, err)
		case <-g.After(time.Duration(c.Interval)):
		}
	}
}

var errSlow = errors.New("no result in time")

func (g Gate) try(ctx context.Context, c Check) error {
	ctx, stop := context.WithTimeoutCause(ctx, time.Duration(c.Timeout), errSlow)
	defer stop()
	err := g.Probe(ctx, c)
	if err != nil && errors.Is(context.Cause(ctx), errSlow) {
		return fmt.Errorf("no result within %s", time.Duration(c.Timeout))
	}
	return err
}
