package netconf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// off is a word that asks for nothing.
const off Method = "off"

var methods = map[string]Method{
	"dhcp": DHCP4, "on": DHCP4, "any": DHCP4, "single-dhcp": DHCP4, "dhcp4": DHCP4, "dhcp6": DHCP6,
	"auto6": Auto6, "either6": Any, "link6": Link6, "link-local": Link6, "none": Static, "off": Static, "static": Static,
}

// parseIP reads the value of ip=, in one of the forms
//
//	METHOD
//	INTERFACE:METHOD[:[MTU][:MAC]]
//	ADDRESS:[PEER]:GATEWAY:MASK:HOSTNAME:INTERFACE:METHOD[:[MTU][:MAC]]
//	ADDRESS:[PEER]:GATEWAY:MASK:HOSTNAME:INTERFACE:METHOD[:[DNS1][:DNS2]]
func parseIP(s string) (Interface, error) {
	i := Interface{Word: "ip=" + s}
	f := fields(s)
	if len(f) == 1 {
		m, ok := methods[s]
		if !ok {
			return i, errors.New("write dhcp, dhcp6, auto6, INTERFACE:dhcp, or ADDRESS::GATEWAY:BITS:HOSTNAME:INTERFACE:none")
		}
		if i.Method = m; m == Static {
			i.Method = off
		}
		return i, nil
	}
	if m, ok := methods[f[1]]; ok && !isAddress(f[0]) {
		i.Name, i.Method = f[0], m
		return i, i.named(i.rest(f[2:]))
	}
	return i, i.whole(f)
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// named refuses names that the kernel does not take.
func (i *Interface) named(err error) error {
	if err == nil && i.Name != "" && !validName(i.Name) {
		return fmt.Errorf("%q is no name of an interface", i.Name)
	}
	return err
}

// whole reads the form with addresses.
func (i *Interface) whole(f []string) error {
	for len(f) < 7 {
		f = append(f, "")
	}
	own, err := addressIf(f[0])
	if err == nil {
		i.Peer, err = addressIf(f[1])
	}
	if err == nil {
		i.Gateway, err = addressIf(f[2])
	}
	if err == nil && own.IsValid() {
		i.Address, err = prefix(own, f[3])
	}
	if err != nil {
		return err
	}
	i.Hostname, i.Name = f[4], f[5]
	m, ok := methods[f[6]]
	switch {
	case f[6] == "" && own.IsValid():
		m = Static
	case f[6] == "":
		m = DHCP4
	case !ok:
		return fmt.Errorf("%q is no way to get an address: write none, dhcp, dhcp6 or auto6", f[6])
	}
	if i.Method = m; m == Static && !own.IsValid() {
		return errors.New("the address is missing")
	}
	return i.named(i.rest(f[7:]))
}

// rest reads what follows the method: a size and an address of the
// interface, or servers of names.
func (i *Interface) rest(f []string) error {
	if len(f) == 0 {
		return nil
	}
	if _, err := strconv.Atoi(f[0]); err == nil || f[0] == "" && len(f) > 2 {
		return i.hardware(f[0], strings.Join(f[1:], ":"))
	}
	if len(f) > 2 {
		return errors.New("too much follows the method; IPv6 addresses stand in brackets")
	}
	for _, text := range f {
		a, err := addressIf(text)
		if err != nil {
			return err
		}
		if a.IsValid() {
			i.DNS = append(i.DNS, a)
		}
	}
	return nil
}

func (i *Interface) hardware(size, mac string) error {
	n, err := mtu(size)
	if err != nil {
		return err
	}
	i.MTU = n
	if mac == "" {
		return nil
	}
	var ok bool
	if i.MAC, ok = parseMAC(mac); !ok {
		return fmt.Errorf("%q is no address of an interface", mac)
	}
	return nil
}

// prefix puts an address and a mask together: bits, or dotted. Without a mask
// IPv4 has that of its class, IPv6 has 64 bits.
func prefix(a netip.Addr, mask string) (netip.Prefix, error) {
	bits, err := maskBits(a, mask)
	if err == nil && (bits < 0 || bits > a.BitLen()) {
		err = fmt.Errorf("%q is no mask", mask)
	}
	return netip.PrefixFrom(a, bits), err
}

func maskBits(a netip.Addr, mask string) (int, error) {
	switch {
	case mask == "" && a.Is6():
		return 64, nil
	case mask == "":
		return class(a), nil
	case strings.Contains(mask, "."):
		return dotted(mask)
	}
	n, err := strconv.Atoi(mask)
	if err != nil {
		return 0, fmt.Errorf("%q is no mask", mask)
	}
	return n, nil
}

func class(a netip.Addr) int {
	switch first := a.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	}
	return 24
}

func dotted(mask string) (int, error) {
	a, err := netip.ParseAddr(mask)
	if err != nil || !a.Is4() {
		return 0, fmt.Errorf("%q is no mask", mask)
	}
	b := a.As4()
	word := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	bits := 0
	for ; word&(1<<31) != 0; word <<= 1 {
		bits++
	}
	if word != 0 {
		return 0, fmt.Errorf("%q is no mask: it has holes", mask)
	}
	return bits, nil
}
