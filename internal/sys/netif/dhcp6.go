//go:build linux

package netif

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// LinkLocal waits until an interface has the address that it gives itself.
func LinkLocal(ctx context.Context, name string) error {
	return Wait(ctx, has(name, func(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }))
}

// Global waits until an interface has an IPv6 address that leads further.
func Global(ctx context.Context, name string) error {
	return Wait(ctx, has(name, func(a netip.Addr) bool { return a.Is6() && !a.IsLinkLocalUnicast() }))
}

func has(name string, wanted func(netip.Addr) bool) func() (bool, error) {
	return func() (bool, error) {
		all, err := Addresses(name)
		for _, p := range all {
			if wanted(p.Addr()) {
				return true, nil
			}
		}
		return false, err
	}
}

// DHCP6 asks for an address until there is one, or, if inform is set, only
// for what else there is to know. The interface has its link-local address.
func DHCP6(ctx context.Context, name string, inform bool) (Lease, error) {
	c, err := nclient6.New(name, nclient6.WithTimeout(askAgain), nclient6.WithRetry(1))
	if err != nil {
		return Lease{}, fmt.Errorf("asking for an IPv6 address on %s: %w", name, err)
	}
	defer c.Close()
	for {
		answer, err := ask6(ctx, c, inform)
		if err == nil {
			return lease6(answer, inform)
		}
		select {
		case <-time.After(askAgain / 4):
		case <-ctx.Done():
			return Lease{}, context.Cause(ctx)
		}
	}
}

func ask6(ctx context.Context, c *nclient6.Client, inform bool) (*dhcpv6.Message, error) {
	if !inform {
		offer, err := c.Solicit(ctx)
		if err != nil {
			return nil, err
		}
		return c.Request(ctx, offer)
	}
	m, err := dhcpv6.NewMessage()
	if err != nil {
		return nil, err
	}
	m.MessageType = dhcpv6.MessageTypeInformationRequest
	m.AddOption(dhcpv6.OptClientID(&dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: c.InterfaceAddr()}))
	m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList))
	m.AddOption(dhcpv6.OptElapsedTime(0))
	return c.SendAndRead(ctx, c.RemoteAddr(), m, nclient6.IsMessageType(dhcpv6.MessageTypeReply))
}

func lease6(m *dhcpv6.Message, inform bool) (Lease, error) {
	l := Lease{DNS: addrs(m.Options.DNS())}
	if d := m.Options.DomainSearchList(); d != nil {
		l.Search = d.Labels
	}
	if inform {
		return l, nil
	}
	ia := m.Options.OneIANA()
	if ia == nil || ia.Options.OneAddress() == nil {
		return l, errors.New("the DHCPv6 server gives no address")
	}
	own, ok := netip.AddrFromSlice(ia.Options.OneAddress().IPv6Addr)
	if !ok {
		return l, errors.New("the DHCPv6 server gives an address that is none")
	}
	l.Address = netip.PrefixFrom(own, 128)
	return l, nil
}

// Advertisement is what a router says about its network.
type Advertisement struct {
	Managed   bool // addresses come from DHCPv6
	Other     bool // DHCPv6 knows more
	Automatic bool // the kernel makes an address of a prefix
	DNS       []netip.Addr
	Search    []string
}

// Solicit asks the routers of an interface until one answers. The kernel
// hears the answer too, and takes addresses and routes from it. The interface
// has its link-local address.
func Solicit(ctx context.Context, name string) (Advertisement, error) {
	conn, err := listen(name)
	if err != nil {
		return Advertisement{}, fmt.Errorf("asking the routers on %s: %w", name, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return Advertisement{}, err
	}
	ask := &ndp.RouterSolicitation{Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ifi.HardwareAddr}}}
	for {
		if err := conn.WriteTo(ask, nil, netip.MustParseAddr("ff02::2")); err != nil {
			return Advertisement{}, fmt.Errorf("asking the routers on %s: %w", name, err)
		}
		if a, ok := answer(ctx, conn); ok {
			return a, nil
		}
		if ctx.Err() != nil {
			return Advertisement{}, context.Cause(ctx)
		}
	}
}

func listen(name string) (*ndp.Conn, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err != nil {
		return nil, err
	}
	var f ipv6.ICMPFilter
	f.SetAll(true)
	f.Accept(ipv6.ICMPTypeRouterAdvertisement)
	err = conn.SetICMPFilter(&f)
	if err == nil {
		err = conn.JoinGroup(netip.MustParseAddr("ff02::1"))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// answer waits a while for an advertisement.
func answer(ctx context.Context, conn *ndp.Conn) (Advertisement, bool) {
	conn.SetReadDeadline(time.Now().Add(askAgain))
	for ctx.Err() == nil {
		m, _, _, err := conn.ReadFrom()
		var network net.Error
		if errors.As(err, &network) {
			return Advertisement{}, false
		}
		if ra, ok := m.(*ndp.RouterAdvertisement); ok && err == nil {
			return advertisement(ra), true
		}
	}
	return Advertisement{}, false
}

func advertisement(ra *ndp.RouterAdvertisement) Advertisement {
	a := Advertisement{Managed: ra.ManagedConfiguration, Other: ra.OtherConfiguration}
	for _, o := range ra.Options {
		switch o := o.(type) {
		case *ndp.PrefixInformation:
			a.Automatic = a.Automatic || o.AutonomousAddressConfiguration
		case *ndp.RecursiveDNSServer:
			a.DNS = append(a.DNS, o.Servers...)
		case *ndp.DNSSearchList:
			a.Search = append(a.Search, o.DomainNames...)
		}
	}
	return a
}
