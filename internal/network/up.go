//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"wellcar.dev/internal/format/netconf"
	"wellcar.dev/internal/sys/netif"
)

// How long to wait for more once something works. Whoever has IPv6 alone may
// want servers that have not, and a DHCP server can take seconds to look
// whether an address is free; where there is IPv4, a router of IPv6 answers at
// once or never.
const (
	patience      = 5 * time.Second // with other interfaces
	patienceWith4 = 2 * time.Second // with IPv6 on the same one
	patienceWith6 = 10 * time.Second
)

// Network is a network that was brought up.
type Network struct {
	Options
	names map[string][]string // other names of interfaces, by that of the kernel

	end    context.CancelCauseFunc // of all that asks
	asking sync.WaitGroup

	mu      sync.Mutex
	state   State
	servers [][]string // the owner's, then those that each answer had
	search  []string
	waiting []netconf.Route // whose gateway is on no interface yet
	open    int             // tasks that have not ended
	usable  bool            // Up is over
}

// Up brings up what the options say. What was changed is in the State, also
// after a failure; the error names each interface and what it waited for. What
// has no answer yet goes on until Stop.
func Up(ctx context.Context, opt Options) (*Network, error) {
	if opt.Limit == 0 {
		opt.Limit = Limit
	}
	n := &Network{Options: opt, names: map[string][]string{}, waiting: slices.Clone(opt.Config.Routes)}
	ctx, n.end = context.WithCancelCause(ctx)
	late := time.AfterFunc(opt.Limit, func() { n.end(fmt.Errorf("gave up after %s", opt.Limit)) })
	defer late.Stop()
	if err := n.drivers(ctx); err != nil {
		n.logf("some drivers are missing: %v", err)
	}
	err := n.bringUp(ctx)
	if err != nil {
		n.Stop()
	}
	return n, err
}

// Stop ends all asking. The network stays as it is, for Down.
func (n *Network) Stop() {
	n.end(errStopped)
	n.asking.Wait()
}

var errStopped = errors.New("it was stopped")

// State is what was changed so far.
func (n *Network) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.clone()
}

func (n *Network) logf(format string, args ...any) {
	if n.Logf != nil {
		n.Logf(format, args...)
	}
}

func (n *Network) bringUp(ctx context.Context) error {
	if err := n.rename(ctx); err != nil {
		return err
	}
	if err := n.virtual(ctx); err != nil {
		return err
	}
	work, err := n.work(ctx)
	if err != nil {
		return err
	}
	for _, a := range n.Config.Nameservers {
		n.servers = append(n.servers, []string{a.String()})
	}
	if err := n.all(ctx, work); err != nil {
		return err
	}
	return n.ready(ctx)
}

// rename gives interfaces the names of ifname=.
func (n *Network) rename(ctx context.Context) error {
	for _, want := range n.Config.Names {
		l, err := n.await(ctx, string(want.MAC), func(l netif.Link) bool { return l.MAC == string(want.MAC) && l.Hardware != n.Virtual })
		if err == nil && l.Name != want.Name {
			err = errors.Join(netif.Down(l.Name), netif.Rename(l.Name, want.Name))
		}
		if err != nil {
			return fmt.Errorf("naming an interface %s: %w", want.Name, err)
		}
	}
	return nil
}

// await waits for an interface, which what describes.
func (n *Network) await(ctx context.Context, what string, wanted func(netif.Link) bool) (netif.Link, error) {
	var found netif.Link
	var there []string
	err := netif.Wait(ctx, func() (bool, error) {
		links, err := netif.List()
		there = nil
		for _, l := range links {
			if wanted(l) {
				found = l
				return true, nil
			}
			there = append(there, l.Name)
		}
		return false, err
	})
	if err != nil {
		return found, fmt.Errorf("waiting for the interface %s, there being %s: %w", what, list(there), err)
	}
	return found, nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// named waits for an interface by any of its names.
func (n *Network) named(ctx context.Context, name string) (netif.Link, error) {
	return n.await(ctx, name, func(l netif.Link) bool {
		if l.Name == name {
			return true
		}
		if _, asked := n.names[l.Name]; !asked && l.Hardware && n.Run != nil {
			n.names[l.Name] = netif.Predictable(ctx, n.Run, l.Name)
		}
		return slices.Contains(n.names[l.Name], name)
	})
}

// virtual makes bonds, then VLANs.
func (n *Network) virtual(ctx context.Context) error {
	for _, b := range n.Config.Bonds {
		if err := n.bond(ctx, b); err != nil {
			return err
		}
	}
	for _, v := range n.Config.VLANs {
		parent, err := n.named(ctx, v.Parent)
		if err == nil {
			err = n.up(parent.Name)
		}
		if err == nil {
			err = netif.AddVLAN(v.Name, parent.Name, v.ID)
		}
		if err != nil {
			return err
		}
		n.made(v.Name)
	}
	return nil
}

func (n *Network) bond(ctx context.Context, b netconf.Bond) error {
	var options [][2]string
	for _, o := range b.Options {
		options = append(options, [2]string{o.Name, o.Value})
	}
	n.made(b.Name)
	if err := netif.AddBond(b.Name, options); err != nil {
		return err
	}
	for _, name := range b.Members {
		member, err := n.named(ctx, name)
		if err == nil {
			err = netif.AddMember(b.Name, member.Name)
		}
		if err == nil {
			err = n.up(member.Name)
		}
		if err != nil {
			return err
		}
	}
	if b.MTU == 0 {
		return nil
	}
	return netif.SetMTU(b.Name, b.MTU)
}

func (n *Network) made(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state.Made = append(n.state.Made, name)
}

func (n *Network) up(name string) error {
	n.mu.Lock()
	if !slices.Contains(n.state.Up, name) {
		n.state.Up = append(n.state.Up, name)
	}
	n.mu.Unlock()
	return netif.Up(name)
}

// job is an interface and what it is to get.
type job struct {
	link netif.Link
	want netconf.Interface
}

// work is what is to be done at once.
type work struct {
	jobs   []job
	enough bool                // one success is
	each   []netconf.Interface // what cards get that come later
}

func (n *Network) work(ctx context.Context) (work, error) {
	var w work
	all := n.Config.Interfaces
	if len(all) == 0 {
		all = []netconf.Interface{n.implied()}
	}
	for _, want := range all {
		if want.Name != "" {
			l, err := n.named(ctx, want.Name)
			if err != nil {
				return w, err
			}
			w.jobs = append(w.jobs, job{l, want})
			continue
		}
		some, err := n.every(ctx)
		if err != nil {
			return w, err
		}
		if want.Method == netconf.Static { // an address can be only in one place
			some = some[:1]
		} else {
			w.each = append(w.each, want)
		}
		for _, l := range some {
			w.jobs = append(w.jobs, job{l, want})
		}
		w.enough = true
	}
	return w, nil
}

// implied is what there is to do without ip=.
func (n *Network) implied() netconf.Interface {
	if n.Config.BootDevice != "" {
		return netconf.Interface{Name: n.Config.BootDevice}
	}
	links, _ := netif.List()
	for _, l := range links {
		if n.Config.Boot != "" && l.MAC == string(n.Config.Boot) {
			return netconf.Interface{Name: l.Name}
		}
	}
	return netconf.Interface{}
}

// every waits for an interface of hardware, and returns all there are, bonds
// in place of their members.
func (n *Network) every(ctx context.Context) ([]netif.Link, error) {
	if _, err := n.await(ctx, "of any network card", n.card); err != nil {
		return nil, err
	}
	return n.cards()
}

// card tells whether an interface is hardware, or a bond of it.
func (n *Network) card(l netif.Link) bool {
	return l.Master == 0 && (l.Hardware || n.Virtual && l.Kind == "veth" || slices.Contains(n.State().Made, l.Name))
}

func (n *Network) cards() ([]netif.Link, error) {
	links, err := netif.List()
	return slices.DeleteFunc(links, func(l netif.Link) bool { return !n.card(l) }), err
}
