//go:build linux

package reboot

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Strategy is what REBOOT_STRATEGY says.
type Strategy string

// The strategies.
const (
	Reboot    Strategy = "reboot"
	Off       Strategy = "off"
	EtcdLock  Strategy = "etcd-lock"
	Fleet     Strategy = "fleetlock"
	Kube      Strategy = "kubernetes"
	bestLocal Strategy = "best-effort"
)

// ParseStrategy reads a setting; "" is reboot.
func ParseStrategy(s string) (Strategy, error) {
	switch st := Strategy(s); st {
	case "", Reboot, bestLocal:
		return Reboot, nil
	case Off, EtcdLock, Fleet, Kube:
		return st, nil
	}
	return "", fmt.Errorf("reading REBOOT_STRATEGY: %q is not one of reboot, off, etcd-lock, fleetlock, kubernetes", s)
}

// Lock is a say that others have.
type Lock interface {
	Lock(ctx context.Context) error   // an error: ask again later
	Unlock(ctx context.Context) error // nil also if it is not held
}

// Listener is a Lock whose others want to know what the update client is at.
type Listener interface {
	Report(ctx context.Context, operation, version string, checked int64) error
}

// The waits of a coordinator.
const (
	firstRetry   = 5 * time.Second
	longestRetry = 5 * time.Minute
	GoodBye      = 5 * time.Minute // for people who are logged in
)

// Coordinator reboots a machine when it needs it and may.
type Coordinator struct {
	Windows []Window
	Lock    Lock // nil: nobody else has a say
	// NeedReboot returns when a reboot is due.
	NeedReboot func(ctx context.Context) error
	// Warn tells people who are logged in, and says whether there are any.
	Warn func(text string) bool
	// Reboot reboots.
	Reboot func(ctx context.Context) error
	// State hears what the coordinator is at; see coordinator.conf.
	State func(state string)
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
	Logf  func(format string, args ...any)
}

// The states of a coordinator.
const (
	StateStarting  = "starting"
	StateDisabled  = "disabled"
	StateRunning   = "running"
	StatePlanned   = "reboot-planned"
	StateRebooting = "rebooting"
)

// Run does it once; it returns after the machine was told to reboot.
func (c *Coordinator) Run(ctx context.Context) error {
	c.State(StateRunning)
	if c.Lock != nil {
		if err := c.insist(ctx, "giving back the lock of the last reboot", c.Lock.Unlock); err != nil {
			return err
		}
	}
	if err := c.NeedReboot(ctx); err != nil {
		return err
	}
	c.State(StatePlanned)
	if err := c.permit(ctx); err != nil {
		return err
	}
	c.State(StateRebooting)
	if c.Warn("System reboot in 5 minutes!") {
		c.Logf("people are logged in: waiting %s", GoodBye)
		if err := c.sleep(ctx, GoodBye); err != nil {
			return err
		}
	}
	return c.Reboot(ctx)
}

// permit waits for a window and the lock, until both are there at once.
func (c *Coordinator) permit(ctx context.Context) error {
	for {
		if wait := Wait(c.Windows, c.Now()); wait > 0 {
			c.Logf("waiting %s for the reboot window", wait.Round(time.Second))
			if err := c.sleep(ctx, wait); err != nil {
				return err
			}
			continue
		}
		if c.Lock == nil {
			return nil
		}
		if err := c.insist(ctx, "taking the reboot lock", c.Lock.Lock); err != nil {
			return err
		}
		if Wait(c.Windows, c.Now()) == 0 {
			return nil
		}
		c.Logf("the reboot window closed before the lock was there")
		if err := c.insist(ctx, "giving back the lock", c.Lock.Unlock); err != nil {
			return err
		}
	}
}

// insist tries until it works.
func (c *Coordinator) insist(ctx context.Context, what string, f func(context.Context) error) error {
	for wait := firstRetry; ; wait = min(2*wait, longestRetry) {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		c.Logf("%s: %v; again in %s", what, err, wait)
		if err := c.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (c *Coordinator) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.After(d):
		return nil
	}
}

// EtcdSemaphore is the Lock of etcd-lock.
type EtcdSemaphore struct {
	Etcd *Etcd
	ID   string
}

// Lock takes a slot; to have one already is as good.
func (e EtcdSemaphore) Lock(ctx context.Context) error {
	_, _, err := e.Etcd.Change(ctx, func(s Semaphore) (Semaphore, error) { return s.Lock(e.ID) })
	if errors.Is(err, ErrHeld) {
		return nil
	}
	return err
}

// Unlock gives it back; to have none is as good.
func (e EtcdSemaphore) Unlock(ctx context.Context) error {
	_, _, err := e.Etcd.Change(ctx, func(s Semaphore) (Semaphore, error) { return s.Unlock(e.ID) })
	if errors.Is(err, ErrNotHeld) {
		return nil
	}
	return err
}
