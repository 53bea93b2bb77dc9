//go:build linux

package network

import (
	"context"

	"wellcar.dev/internal/sys/netif"
	"wellcar.dev/internal/sys/uevent"
)

// drivers loads the drivers of all cards, from now on too as they come.
func (n *Network) drivers(ctx context.Context) error {
	if n.Modules == "" {
		return nil
	}
	drivers, err := netif.FindDrivers(n.Run, n.Modules)
	if err != nil {
		return err
	}
	load := func(aliases []string) error { return drivers.Load(ctx, aliases) }
	events, err := uevent.Listen() // before the look around, which misses nothing then
	if err != nil {
		return err
	}
	n.asking.Go(func() {
		defer events.Close()
		n.devices(ctx, events.Wait, load)
	})
	var more []string
	if len(n.Config.VLANs) > 0 {
		more = append(more, "8021q")
	}
	if len(n.Config.Bonds) > 0 {
		more = append(more, "bonding")
	}
	devices, err := netif.Devices()
	if err != nil {
		return err
	}
	return drivers.Load(ctx, devices, append(more, "af_packet")...)
}

// devices loads what devices need that come until the context ends.
func (n *Network) devices(ctx context.Context, wait func(context.Context) ([]uevent.Event, error), load func(aliases []string) error) {
	for {
		events, err := wait(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			n.logf("cards that come late may stay without a driver: %v", err)
			return
		}
		aliases, err := arrived(events)
		if err == nil {
			err = load(aliases)
		}
		if err != nil && ctx.Err() == nil {
			n.logf("some drivers are missing: %v", err)
		}
	}
}

// arrived are the aliases of devices that events tell of.
func arrived(events []uevent.Event) ([]string, error) {
	var out []string
	for _, e := range events {
		if e.Action == uevent.Lost {
			return netif.Devices()
		}
		if alias := e.Env["MODALIAS"]; alias != "" && e.Action == "add" {
			out = append(out, alias)
		}
	}
	return out, nil
}

// plugged gives the tasks of cards that come after the others, until the
// context ends. None are wanted where cards are named.
func (n *Network) plugged(ctx context.Context, w work) <-chan task {
	if len(w.each) == 0 {
		return nil
	}
	seen := map[int]bool{}
	for _, j := range w.jobs {
		seen[j.link.Index] = true
	}
	out, order := make(chan task), len(w.jobs)
	look := func() (bool, error) {
		cards, err := n.cards()
		for _, l := range cards {
			if seen[l.Index] {
				continue
			}
			seen[l.Index] = true
			for _, want := range w.each {
				select {
				case out <- n.task(job{l, want}, order, patience):
					order++
				case <-ctx.Done():
				}
			}
		}
		return false, err
	}
	n.asking.Go(func() {
		if err := netif.Wait(ctx, look); err != nil && ctx.Err() == nil {
			n.logf("cards that come late stay down: %v", err)
		}
	})
	return out
}
