//go:build linux

// Package netif configures network interfaces of the running machine: links,
// addresses, routes, virtual networks and bonds by rtnetlink(7), options of
// bonds and of IPv6 by sysfs and procfs; DHCP of both kinds and router
// solicitations as a client; drivers by modprobe(8).
//
// It holds mechanism only. Everything acts on the network namespace of the
// calling process.
package netif

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is an interface.
type Link struct {
	Index    int
	Name     string
	Kind     string // device, vlan, bond, veth ...
	MAC      string // aa:bb:cc:dd:ee:ff
	Hardware bool   // there is a device behind it
	Master   int    // index of the bond it is a member of; 0: none
	MTU      int    // bytes
}

// List returns the interfaces but the loopback, by index.
func List() ([]Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing the network interfaces: %w", err)
	}
	var out []Link
	for _, l := range links {
		a := l.Attrs()
		if a.Flags&net.FlagLoopback != 0 {
			continue
		}
		_, err := os.Stat(filepath.Join("/sys/class/net", a.Name, "device"))
		out = append(out, Link{a.Index, a.Name, l.Type(), a.HardwareAddr.String(), err == nil, a.MasterIndex, a.MTU})
	}
	return out, nil
}

// Changes signals each change of an interface or of an address until the
// context ends. The channel drops signals that nobody waits for.
func Changes(ctx context.Context) (<-chan struct{}, error) {
	out := make(chan struct{}, 1)
	links, addrs := make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate)
	err := netlink.LinkSubscribe(links, ctx.Done())
	if err == nil {
		err = netlink.AddrSubscribe(addrs, ctx.Done())
	}
	if err != nil {
		return nil, fmt.Errorf("listening to changes of the network interfaces: %w", err)
	}
	go func() {
		for links != nil || addrs != nil {
			select {
			case _, ok := <-links:
				if !ok {
					links = nil
				}
			case _, ok := <-addrs:
				if !ok {
					addrs = nil
				}
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out, nil
}

// Wait returns once a condition holds; it is asked after each change.
func Wait(ctx context.Context, holds func() (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, err := Changes(ctx)
	if err != nil {
		return err
	}
	for {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changes:
		}
	}
}

// Carrier waits until an interface that is up has a link to the other side.
func Carrier(ctx context.Context, name string) error {
	return Wait(ctx, func() (bool, error) {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return false, fmt.Errorf("looking at %s: %w", name, err)
		}
		return l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0, nil
	})
}

// Addresses are those of an interface that can be used already.
func Addresses(name string) ([]netip.Prefix, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", name, err)
	}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of %s: %w", name, err)
	}
	var out []netip.Prefix
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			out = append(out, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	return out, nil
}

// change does something to an interface.
func change(what, name string, do func(netlink.Link) error) error {
	l, err := netlink.LinkByName(name)
	if err == nil {
		err = do(l)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, name, err)
	}
	return nil
}

// Up lets an interface send and receive.
func Up(name string) error { return change("bringing up", name, netlink.LinkSetUp) }

// Down ends that.
func Down(name string) error { return change("taking down", name, netlink.LinkSetDown) }

// SetMTU sets the largest size of a packet.
func SetMTU(name string, bytes int) error {
	return change("setting the size of packets of", name, func(l netlink.Link) error { return netlink.LinkSetMTU(l, bytes) })
}

// SetMAC sets the address of an interface that is down.
func SetMAC(name, mac string) error {
	return change("setting the hardware address of", name, func(l netlink.Link) error {
		hw, err := net.ParseMAC(mac)
		if err != nil {
			return err
		}
		return netlink.LinkSetHardwareAddr(l, hw)
	})
}

// Rename renames an interface that is down.
func Rename(name, to string) error {
	return change("renaming to "+to+" the interface", name, func(l netlink.Link) error { return netlink.LinkSetName(l, to) })
}

// AddVLAN makes a virtual network on an interface.
func AddVLAN(name, parent string, id int) error {
	return change("making VLAN "+name+" on", parent, func(l netlink.Link) error {
		return netlink.LinkAdd(&netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: l.Attrs().Index}, VlanId: id, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	})
}

// AddBond makes a bond without members. Options are those of
// /sys/class/net/NAME/bonding.
func AddBond(name string, options [][2]string) error {
	err := netlink.LinkAdd(netlink.NewLinkBond(netlink.LinkAttrs{Name: name}))
	if err != nil {
		return fmt.Errorf("making bond %s: %w", name, err)
	}
	for _, o := range options {
		for value := range listed(o) {
			if err := os.WriteFile(filepath.Join("/sys/class/net", name, "bonding", o[0]), []byte(value), 0); err != nil {
				return fmt.Errorf("setting %s of bond %s to %s: %w", o[0], name, value, cause(err))
			}
		}
	}
	return nil
}

// listed are the values to write one after the other: the options that are
// lists take one entry at a time, each with a plus sign.
func listed(o [2]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		if o[0] != "arp_ip_target" && o[0] != "ns_ip6_target" {
			yield(o[1])
			return
		}
		for v := range strings.SplitSeq(o[1], ",") {
			if !yield("+" + v) {
				return
			}
		}
	}
}

// AddMember adds an interface, which is taken down for it, to a bond.
func AddMember(bond, name string) error {
	return change("adding to bond "+bond+" the interface", name, func(l netlink.Link) error {
		b, err := netlink.LinkByName(bond)
		if err == nil {
			err = netlink.LinkSetDown(l)
		}
		if err != nil {
			return err
		}
		return netlink.LinkSetMasterByIndex(l, b.Attrs().Index)
	})
}

// Delete removes a virtual interface.
func Delete(name string) error { return change("removing", name, netlink.LinkDel) }

// Flush removes all addresses and routes of an interface.
func Flush(name string) error {
	return change("removing the addresses of", name, func(l netlink.Link) error {
		routes, err := netlink.RouteList(l, netlink.FAMILY_ALL)
		for _, r := range routes {
			err = errors.Join(err, ignore(netlink.RouteDel(&r), syscall.ESRCH))
		}
		addrs, listErr := netlink.AddrList(l, netlink.FAMILY_ALL)
		err = errors.Join(err, listErr)
		for _, a := range addrs {
			err = errors.Join(err, ignore(netlink.AddrDel(l, &a), syscall.EADDRNOTAVAIL))
		}
		return err
	})
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// AddAddress gives an interface an address. A valid peer is the other end.
func AddAddress(name string, address netip.Prefix, peer netip.Addr) error {
	return change("adding the address "+address.String()+" to", name, func(l netlink.Link) error {
		a := &netlink.Addr{IPNet: ipNet(address)}
		if peer.IsValid() {
			a.IPNet, a.Peer = ipNet(netip.PrefixFrom(address.Addr(), address.Addr().BitLen())), ipNet(netip.PrefixFrom(peer, address.Bits()))
		}
		if address.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD // nobody waits for it
		}
		return ignore(netlink.AddrAdd(l, a), syscall.EEXIST)
	})
}

// Route leads to a network. A zero gateway means: on the link.
type Route struct {
	To      netip.Prefix
	Gateway netip.Addr
}

// AddRoute adds a route by an interface. Among equal ones the lowest metric
// counts. A gateway outside of the interface's networks is taken to be on its
// link, as clouds have it.
func AddRoute(name string, r Route, metric int) error {
	return change("adding the route to "+r.To.String()+" by", name, func(l netlink.Link) error {
		route := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(r.To), Priority: metric}
		if r.Gateway.IsValid() {
			route.Gw, route.Flags = r.Gateway.AsSlice(), int(netlink.FLAG_ONLINK)
		} else if r.To.Addr().Is4() {
			route.Scope = netlink.SCOPE_LINK
		}
		return netlink.RouteReplace(route)
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// AcceptAdvertisements says whether the kernel takes addresses and routes
// from the routers of an interface.
func AcceptAdvertisements(name string, yes bool) error {
	value := "0"
	if yes {
		value = "1"
	}
	err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", name, "accept_ra"), []byte(value), 0)
	if errors.Is(err, os.ErrNotExist) { // without IPv6
		return nil
	}
	if err != nil {
		return fmt.Errorf("telling %s about router advertisements: %w", name, cause(err))
	}
	return nil
}

// HasIPv6 tells whether the kernel has it, for an interface.
func HasIPv6(name string) bool {
	off, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6"))
	return err == nil && strings.TrimSpace(string(off)) == "0"
}

// SetHostname names the machine.
func SetHostname(name string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("naming the machine %s: %w", name, err)
	}
	return nil
}
