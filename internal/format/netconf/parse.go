package netconf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"wellcar.dev/internal/format/cmdline"
)

// Parse reads all words of a command line. The error names each word that it
// cannot make sense of; the config has the others.
func Parse(line cmdline.Line) (Config, error) {
	var c Config
	var errs []error
	for _, arg := range line.Args {
		if err := c.word(arg.Name, arg.Value); err != nil {
			errs = append(errs, fmt.Errorf("reading %s of the kernel command line: %w", arg, err))
		}
	}
	return c, errors.Join(errs...)
}

func (c *Config) word(name, value string) error {
	switch name {
	case "ip":
		i, err := parseIP(value)
		if err != nil || i.Method == off {
			return err
		}
		c.Interfaces = append(c.Interfaces, i)
		return nil
	case "nameserver":
		a, err := address(value)
		c.Nameservers = appendIf(c.Nameservers, a, err)
		return err
	case "rd.route":
		r, err := parseRoute(value)
		c.Routes = appendIf(c.Routes, r, err)
		return err
	case "ifname":
		n, err := parseName(value)
		c.Names = appendIf(c.Names, n, err)
		return err
	case "vlan":
		v, err := parseVLAN(value)
		c.VLANs = appendIf(c.VLANs, v, err)
		return err
	case "bond":
		b, err := parseBond(value)
		c.Bonds = appendIf(c.Bonds, b, err)
		return err
	case "team", "bridge":
		return errors.New("this kind of interface is not made before the system starts")
	}
	return c.other(name, value)
}

func (c *Config) other(name, value string) error {
	switch name {
	case "BOOTIF":
		mac, ok := parseMAC(strings.TrimPrefix(value, "01-"))
		if !ok {
			return errors.New("this is no address of an interface")
		}
		c.Boot = mac
	case "bootdev":
		c.BootDevice = value
	case "rd.neednet":
		c.Needed = value != "0"
	case "rd.peerdns":
		c.IgnoreDNS = value == "0"
	}
	return nil
}

func appendIf[T any](list []T, v T, err error) []T {
	if err != nil {
		return list
	}
	return append(list, v)
}

// fields splits at colons outside of brackets, which go.
func fields(s string) []string {
	var out []string
	var b strings.Builder
	inside := false
	for _, r := range s {
		switch {
		case r == '[' && !inside:
			inside = true
		case r == ']' && inside:
			inside = false
		case r == ':' && !inside:
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(out, b.String())
}

func address(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return a, fmt.Errorf("%q is no address", s)
	}
	return a, nil
}

// addressIf is address for what may be empty.
func addressIf(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	return address(s)
}

// parseRoute reads NET/MASK:GATEWAY[:INTERFACE].
func parseRoute(s string) (Route, error) {
	f := fields(s)
	if len(f) > 3 {
		return Route{}, errors.New("write NET/BITS:GATEWAY:INTERFACE, IPv6 in brackets")
	}
	net, mask, _ := strings.Cut(f[0], "/")
	to, err := address(net)
	if err != nil {
		return Route{}, err
	}
	var r Route
	if r.To, err = prefix(to, mask); err != nil {
		return r, err
	}
	r.To = r.To.Masked()
	if len(f) > 1 {
		if r.Gateway, err = addressIf(f[1]); err != nil {
			return r, err
		}
	}
	if len(f) > 2 {
		r.Device = f[2]
	}
	return r, nil
}

// parseName reads NAME:MAC.
func parseName(s string) (Name, error) {
	name, text, _ := strings.Cut(s, ":")
	mac, ok := parseMAC(text)
	if !ok || !validName(name) {
		return Name{}, errors.New("write ifname=NAME:MAC")
	}
	return Name{name, mac}, nil
}

// parseVLAN reads NAME:INTERFACE. The name ends in the number.
func parseVLAN(s string) (VLAN, error) {
	name, parent, _ := strings.Cut(s, ":")
	digits := name[len(strings.TrimRight(name, "0123456789")):]
	id, err := strconv.Atoi(digits)
	if err != nil || id < 1 || id > 4094 || !validName(name) || !validName(parent) {
		return VLAN{}, errors.New("write vlan=NAME:INTERFACE, with a name that ends in the number of the VLAN, 1 to 4094")
	}
	return VLAN{name, parent, id}, nil
}

// parseBond reads [NAME[:MEMBERS[:OPTIONS[:MTU]]]].
func parseBond(s string) (Bond, error) {
	b := Bond{Name: "bond0", Members: []string{"eth0", "eth1"}, Options: []Option{{"mode", "balance-rr"}}}
	f := fields(s)
	if f[0] != "" {
		b.Name = f[0]
	}
	if len(f) > 1 && f[1] != "" {
		b.Members = strings.Split(f[1], ",")
	}
	for _, name := range append([]string{b.Name}, b.Members...) {
		if !validName(name) {
			return b, fmt.Errorf("%q is no name of an interface", name)
		}
	}
	var err error
	if len(f) > 2 && f[2] != "" {
		b.Options, err = parseOptions(f[2])
	}
	if len(f) > 3 && err == nil {
		b.MTU, err = mtu(f[3])
	}
	if len(f) > 4 {
		return b, errors.New("write bond=NAME:MEMBERS:OPTIONS:MTU")
	}
	return b, err
}

// parseOptions reads a=1,b=2. Within a value a semicolon stands for a comma.
func parseOptions(s string) ([]Option, error) {
	var out []Option
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(part, "=")
		if !ok || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || name == "" || value == "" {
			return nil, fmt.Errorf("%q is no option of a bond", part)
		}
		out = append(out, Option{name, strings.ReplaceAll(value, ";", ",")})
	}
	return out, nil
}

func mtu(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 68 || n > 65536 {
		return 0, fmt.Errorf("%q is no size of a packet", s)
	}
	return n, nil
}
