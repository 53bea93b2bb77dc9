//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"wellcar.dev/internal/format/netconf"
	"wellcar.dev/internal/sys/netif"
)

// configure brings one interface to where its word wants it. The order of the
// interfaces decides between their ways out.
func (n *Network) configure(ctx context.Context, j job, order int) error {
	name, want := j.link.Name, j.want
	n.remember(j.link)
	if want.MAC != "" {
		if err := netif.SetMAC(name, string(want.MAC)); err != nil {
			return err
		}
	}
	if want.MTU > 0 {
		if err := netif.SetMTU(name, want.MTU); err != nil {
			return err
		}
	}
	if err := netif.AcceptAdvertisements(name, want.Method == netconf.Any || want.Method == netconf.Auto6 || want.Method == netconf.DHCP6); err != nil {
		return err
	}
	if err := n.up(name); err != nil {
		return err
	}
	if err := netif.Carrier(ctx, name); err != nil {
		return fmt.Errorf("%s: waiting for a link to the other side: %w", name, err)
	}
	if want.Hostname != "" {
		if err := netif.SetHostname(want.Hostname); err != nil {
			return err
		}
	}
	for _, a := range want.DNS {
		n.told([]netip.Addr{a}, nil, true)
	}
	return n.addresses(ctx, j, order)
}

// remember notes how a card is before its first change.
func (n *Network) remember(l netif.Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := func(c Card) bool { return c.Name == l.Name }
	if !slices.ContainsFunc(n.state.Was, known) && !slices.Contains(n.state.Made, l.Name) {
		n.state.Was = append(n.state.Was, Card{l.Name, l.MAC, l.MTU})
	}
}

func (n *Network) addresses(ctx context.Context, j job, order int) error {
	name := j.link.Name
	if j.want.Address.IsValid() {
		if err := n.static(name, j.want, order); err != nil {
			return err
		}
	}
	switch j.want.Method {
	case netconf.DHCP4:
		return n.dhcp4(ctx, j, order)
	case netconf.DHCP6:
		return n.dhcp6(ctx, name, order)
	case netconf.Auto6:
		return n.auto6(ctx, name, order)
	case netconf.Link6:
		return waited(name, "its own IPv6 address", netif.LinkLocal(ctx, name))
	case netconf.Static:
		return nil
	}
	return n.either(ctx, j, order)
}

// waited says what an interface waited for.
func waited(name, what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: waiting for %s: %w", name, what, err)
	}
	return nil
}

// either asks by IPv4 and IPv6 at once. One answer is enough; the other has a
// little time more.
func (n *Network) either(ctx context.Context, j job, order int) error {
	name := j.link.Name
	if !netif.HasIPv6(name) {
		return n.dhcp4(ctx, j, order)
	}
	errs := n.together(ctx, []task{
		{"", func(ctx context.Context) error { return n.dhcp4(ctx, j, order) }, patienceWith4},
		{"", func(ctx context.Context) error { return n.auto6(ctx, name, order) }, patienceWith6},
	}, nil)
	if slices.Contains(errs, nil) {
		return nil
	}
	return errors.Join(errs...)
}

func (n *Network) static(name string, want netconf.Interface, order int) error {
	if err := netif.AddAddress(name, want.Address, want.Peer); err != nil {
		return err
	}
	n.logf("%s has %s", name, want.Address)
	if !want.Gateway.IsValid() {
		return nil
	}
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if want.Gateway.Is6() {
		everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netif.AddRoute(name, netif.Route{To: everywhere, Gateway: want.Gateway}, n.metric(order))
}

func (n *Network) dhcp4(ctx context.Context, j job, order int) error {
	name := j.link.Name
	l, err := netif.DHCP4(ctx, name, j.want.Hostname)
	if err != nil {
		return waited(name, "an answer of a DHCP server", err)
	}
	if err := n.lease(name, l, order, j.want.MTU == 0); err != nil {
		return err
	}
	if n.Leases == "" {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.write(leaseFile(n.Leases, j.link.Index), leaseText(l))
}

// leaseText is what a server said, in the form that systemd-networkd keeps it.
func leaseText(l netif.Lease) string {
	return fmt.Sprintf("ADDRESS=%s\nSERVER_ADDRESS=%s\n", l.Address.Addr(), l.Server)
}

// lease gives an interface what a server said.
func (n *Network) lease(name string, l netif.Lease, order int, size bool) error {
	from := "a DHCPv6 server"
	if l.Server.IsValid() {
		from = l.Server.String()
	}
	n.logf("%s has %s from %s", name, l.Address, from)
	if err := netif.AddAddress(name, l.Address, netip.Addr{}); err != nil {
		return err
	}
	if l.MTU > 0 && size {
		if err := netif.SetMTU(name, l.MTU); err != nil {
			n.logf("%v", err)
		}
	}
	for _, r := range l.Routes {
		if err := netif.AddRoute(name, r, n.metric(order)); err != nil {
			return err
		}
	}
	n.told(l.DNS, l.Search, !n.Config.IgnoreDNS)
	return nil
}

// told notes servers of names.
func (n *Network) told(servers []netip.Addr, search []string, heed bool) {
	if !heed {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []string
	for _, a := range servers {
		list = append(list, a.String())
	}
	n.servers = append(n.servers, list)
	for _, s := range search {
		n.search = append(n.search, strings.TrimSuffix(s, "."))
	}
}

func (n *Network) dhcp6(ctx context.Context, name string, order int) error {
	if err := waited(name, "its own IPv6 address", netif.LinkLocal(ctx, name)); err != nil {
		return err
	}
	l, err := netif.DHCP6(ctx, name, false)
	if err != nil {
		return waited(name, "an answer of a DHCPv6 server", err)
	}
	return n.lease(name, l, order, false)
}

// auto6 waits for what a router says, and asks where it says to.
func (n *Network) auto6(ctx context.Context, name string, order int) error {
	if err := waited(name, "its own IPv6 address", netif.LinkLocal(ctx, name)); err != nil {
		return err
	}
	a, err := netif.Solicit(ctx, name)
	if err != nil {
		return waited(name, "an IPv6 router", err)
	}
	for i, s := range a.DNS {
		if s.IsLinkLocalUnicast() {
			a.DNS[i] = s.WithZone(name)
		}
	}
	n.told(a.DNS, a.Search, !n.Config.IgnoreDNS)
	switch {
	case a.Managed:
		err = n.dhcp6(ctx, name, order)
	case a.Other && len(a.DNS) == 0:
		err = n.inform6(ctx, name)
	}
	if err != nil || !a.Automatic {
		return err
	}
	return waited(name, "a usable IPv6 address", netif.Global(ctx, name))
}

// inform6 asks for servers of names only; that nobody answers is no failure.
func (n *Network) inform6(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patienceWith4)
	defer cancel()
	l, err := netif.DHCP6(ctx, name, true)
	if err != nil {
		n.logf("%v", waited(name, "an answer of a DHCPv6 server", err))
		return nil
	}
	n.told(l.DNS, l.Search, !n.Config.IgnoreDNS)
	return nil
}

// Down takes back what Up did, all of it even if some of it fails. An interface
// that is gone needs nothing.
func Down(s State, remove func(name string) error) error {
	var errs []error
	for i := len(s.Made) - 1; i >= 0; i-- {
		errs = append(errs, netif.Delete(s.Made[i]))
	}
	links, err := netif.List()
	errs = append(errs, err)
	for _, l := range links {
		if slices.Contains(s.Up, l.Name) {
			errs = append(errs, netif.Flush(l.Name), netif.AcceptAdvertisements(l.Name, true), netif.Down(l.Name))
		}
		if i := slices.IndexFunc(s.Was, func(c Card) bool { return c.Name == l.Name }); i >= 0 {
			errs = append(errs, s.Was[i].restore(l))
		}
	}
	for _, f := range s.Files {
		errs = append(errs, remove(f))
	}
	return errors.Join(errs...)
}

// restore makes an interface that is down what it was.
func (c Card) restore(now netif.Link) error {
	var errs []error
	if c.MTU != now.MTU {
		errs = append(errs, netif.SetMTU(c.Name, c.MTU))
	}
	if c.MAC != now.MAC {
		errs = append(errs, netif.SetMAC(c.Name, c.MAC))
	}
	return errors.Join(errs...)
}
