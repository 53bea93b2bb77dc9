//go:build linux

package netif

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// Lease is what a server says about an interface.
type Lease struct {
	Address netip.Prefix // zero: none
	Server  netip.Addr
	Routes  []Route
	DNS     []netip.Addr
	Search  []string
	MTU     int // 0: nothing is said
}

// How long a server may take before it is asked again.
const askAgain = 2 * time.Second

var wantedOptions = dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter,
	dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionInterfaceMTU)

// DHCP4 asks for an address until there is one. It changes nothing.
func DHCP4(ctx context.Context, name, hostname string) (Lease, error) {
	c, err := nclient4.New(name, nclient4.WithTimeout(askAgain), nclient4.WithRetry(1))
	if err != nil {
		return Lease{}, fmt.Errorf("asking for an address on %s: %w", name, err)
	}
	defer c.Close()
	mods := []dhcpv4.Modifier{wantedOptions}
	if hostname != "" {
		mods = append(mods, dhcpv4.WithOption(dhcpv4.OptHostName(hostname)))
	}
	for {
		got, err := c.Request(ctx, mods...)
		if err == nil {
			return lease4(got.ACK)
		}
		if ctx.Err() != nil {
			return Lease{}, context.Cause(ctx)
		}
		select { // a server that refuses shall not be flooded
		case <-time.After(askAgain / 4):
		case <-ctx.Done():
			return Lease{}, context.Cause(ctx)
		}
	}
}

// lease4 reads an acknowledgement.
func lease4(ack *dhcpv4.DHCPv4) (Lease, error) {
	own, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	if !ok || own.IsUnspecified() {
		return Lease{}, fmt.Errorf("the DHCP server %v gives no address", ack.ServerIPAddr)
	}
	bits, _ := ack.SubnetMask().Size()
	if ack.SubnetMask() == nil {
		bits = 24
	}
	l := Lease{Address: netip.PrefixFrom(own, bits), DNS: addrs(ack.DNS())}
	l.Server, _ = netip.AddrFromSlice(ack.ServerIdentifier().To4())
	l.Routes = routes4(ack)
	if d := ack.DomainSearch(); d != nil {
		l.Search = d.Labels
	} else if name := ack.DomainName(); name != "" {
		l.Search = []string{name}
	}
	if m, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options); err == nil && m >= 576 {
		l.MTU = int(m)
	}
	return l, nil
}

// routes4 are the classless routes if there are any, which then stand for
// all others. https://www.rfc-editor.org/rfc/rfc3442
func routes4(ack *dhcpv4.DHCPv4) []Route {
	var out []Route
	for _, r := range ack.ClasslessStaticRoute() {
		to, ok := netip.AddrFromSlice(r.Dest.IP.To4())
		via, _ := netip.AddrFromSlice(r.Router.To4())
		bits, _ := r.Dest.Mask.Size()
		if via.IsUnspecified() {
			via = netip.Addr{}
		}
		if ok {
			out = append(out, Route{netip.PrefixFrom(to, bits).Masked(), via})
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, via := range addrs(ack.Router()) {
		return []Route{{netip.PrefixFrom(netip.IPv4Unspecified(), 0), via}}
	}
	return nil
}

func addrs(ips []net.IP) []netip.Addr {
	var out []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	return out
}
