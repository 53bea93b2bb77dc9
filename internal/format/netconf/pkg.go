// Package netconf reads what the kernel command line says about the network
// before the system starts, in the words of dracut.cmdline(7): ip=,
// nameserver=, rd.route=, ifname=, vlan=, bond=, BOOTIF=, bootdev=,
// rd.neednet= and rd.peerdns=. Not known are team=, bridge= and ibft.
//
// IPv6 addresses stand in brackets wherever a colon follows or precedes.
//
//	c, err := netconf.Parse(cmdline.Parse("ip=10.0.0.5::10.0.0.1:24:node:ens3:none nameserver=10.0.0.1"))
package netconf

import (
	"net/netip"
	"strings"
)

// Method says how an interface gets its addresses.
type Method string

// The methods. Any is what there is without ip=: DHCP of both kinds, and
// router advertisements.
const (
	Any    Method = ""
	DHCP4  Method = "dhcp"
	DHCP6  Method = "dhcp6"
	Auto6  Method = "auto6" // router advertisements
	Link6  Method = "link6" // no more than the address of the link
	Static Method = "none"
)

// Config is the network that the command line asks for.
type Config struct {
	Interfaces  []Interface  // in the order of the command line
	Nameservers []netip.Addr // besides those that DHCP names
	Routes      []Route
	Names       []Name
	VLANs       []VLAN
	Bonds       []Bond
	Boot        MAC    // of the interface that the firmware used; empty: unknown
	BootDevice  string // its name; empty: unknown
	Needed      bool   // whether anything else needs it or not
	IgnoreDNS   bool   // what DHCP says about names
}

// Interface is one ip= word.
type Interface struct {
	Word     string // as it was written
	Name     string // empty: all there are
	Method   Method
	Address  netip.Prefix // zero: none is given
	Peer     netip.Addr   // at the other end; zero: it is no such link
	Gateway  netip.Addr   // zero: none
	Hostname string
	MTU      int // 0: as it is
	MAC      MAC // empty: as it is
	DNS      []netip.Addr
}

// Route is one rd.route= word.
type Route struct {
	To      netip.Prefix
	Gateway netip.Addr // zero: on the link
	Device  string     // empty: the kernel finds it
}

// Name gives an interface another name.
type Name struct {
	Name string
	MAC  MAC
}

// VLAN is a virtual network on an interface.
type VLAN struct {
	Name   string
	Parent string
	ID     int // 1..4094
}

// Bond joins interfaces.
type Bond struct {
	Name    string
	Members []string
	Options []Option
	MTU     int // 0: as it is
}

// Option is a setting of a bond, as the kernel names it.
type Option struct{ Name, Value string }

// MAC is an address of Ethernet as aa:bb:cc:dd:ee:ff.
type MAC string

// parseMAC reads an address with colons or hyphens.
func parseMAC(s string) (MAC, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, "-", ":"))
	parts := strings.Split(s, ":")
	for _, p := range parts {
		if len(p) != 2 || strings.Trim(p, "0123456789abcdef") != "" {
			return "", false
		}
	}
	return MAC(s), len(parts) == 6
}

// validName tells whether the kernel takes a name for an interface.
// https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/net/core/dev.c, dev_valid_name
func validName(s string) bool {
	return s != "" && len(s) < 16 && s != "." && s != ".." && !strings.ContainsAny(s, "/: \t\n\v\f\r\x00")
}
