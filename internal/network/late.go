//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wellcar.dev/internal/format/netconf"
	"wellcar.dev/internal/sys/durable"
	"wellcar.dev/internal/sys/netif"
)

// Metrics of routes: in the order of the interfaces, behind those of the
// kernel's own, and what answers late behind all that works already, so that
// nothing under way is cut.
const (
	firstMetric = 1024
	lateMetric  = 2048
)

func (n *Network) metric(order int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.usable {
		return lateMetric + order
	}
	return firstMetric + order
}

// all does the work at once. With enough, it is one success, and a little
// patience with the others.
func (n *Network) all(ctx context.Context, w work) error {
	others := time.Duration(0)
	if w.enough {
		others = patience
	}
	var tasks []task
	for i, j := range w.jobs {
		tasks = append(tasks, n.task(j, i, others))
	}
	errs := n.together(ctx, tasks, n.plugged(ctx, w))
	if !w.enough || !slices.Contains(errs, nil) {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		if err != nil && err != errLate {
			n.logf("%v", err)
		}
	}
	return nil
}

func (n *Network) task(j job, order int, others time.Duration) task {
	return task{j.link.Name, func(ctx context.Context) error { return n.configure(ctx, j, order) }, others}
}

// ready ends Up: what comes from here on is late.
func (n *Network) ready(ctx context.Context) error {
	for i, r := range n.waiting {
		if r.Device != "" {
			l, err := n.named(ctx, r.Device)
			if err != nil {
				return err
			}
			n.waiting[i].Device = l.Name
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.routes(); err != nil {
		return err
	}
	n.usable = true
	return n.resolv()
}

// came takes the end of a task, and adds what it brought if it came after Up.
func (n *Network) came(ctx context.Context, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open--
	if !n.usable || ctx.Err() != nil {
		return
	}
	if err == nil {
		err = errors.Join(n.routes(), n.resolv())
	}
	if err != nil {
		n.logf("%v", err)
	}
	if n.Changed != nil {
		n.Changed(n.state.clone())
	}
}

// resolv writes resolv.conf; mu is held.
func (n *Network) resolv() error { return n.write(n.Resolv, resolvConf(n.servers, n.search)) }

// write makes a file that Down removes; mu is held.
func (n *Network) write(name, text string) error {
	if name == "" || text == "" {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = durable.WriteFile(name, []byte(text), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing what the network told: %w", err)
	}
	if !slices.Contains(n.state.Files, name) {
		n.state.Files = append(n.state.Files, name)
	}
	return nil
}

// routes adds the routes of the owner whose gateway can be reached. Others wait
// for the interfaces that have no answer yet; mu is held.
func (n *Network) routes() error {
	var errs []error
	var waiting []netconf.Route
	for _, r := range n.waiting {
		name, err := n.towards(r)
		switch {
		case err != nil:
			errs = append(errs, err)
		case name == "" && n.open > 0:
			waiting = append(waiting, r)
		case name == "":
			errs = append(errs, fmt.Errorf("adding the route to %s: no interface leads to the gateway %s", r.To, r.Gateway))
		default:
			errs = append(errs, netif.AddRoute(name, netif.Route{To: r.To, Gateway: r.Gateway}, 0))
		}
	}
	n.waiting = waiting
	return errors.Join(errs...)
}

// towards is the interface of a route; none if no address of an interface has
// the gateway in its network.
func (n *Network) towards(r netconf.Route) (string, error) {
	if r.Device != "" {
		return r.Device, nil
	}
	for _, name := range n.state.Up {
		addrs, err := netif.Addresses(name)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Contains(r.Gateway) }) {
			return name, nil
		}
	}
	return "", nil
}
