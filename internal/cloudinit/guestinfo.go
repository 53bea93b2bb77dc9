package cloudinit

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// Guestinfo is what a VMware machine is told.
type Guestinfo struct {
	UserData []byte
	Facts    Facts
	Network  []Unit // of networkd, until the next boot
}

// Entries of each list are read up to this number.
const guestinfoMax = 64

// ReadGuestinfo reads the keys of
// https://github.com/flatcar/coreos-cloudinit/blob/master/Documentation/vmware-guestinfo.md
// through a function that gives "" for one that does not exist.
func ReadGuestinfo(read func(key string) (string, error)) (g Guestinfo, err error) {
	r := &guestReader{read: read}
	g.Facts.Hostname = r.get("hostname")
	for _, prefix := range []string{"ignition", "coreos"} {
		if text := r.get("%s.config.data", prefix); text != "" && g.UserData == nil {
			if g.UserData, err = decode(text, r.get("%s.config.data.encoding", prefix)); err != nil {
				return g, fmt.Errorf("guestinfo.%s.config.data: %w", prefix, err)
			}
		}
	}
	dns := r.list("DNS", "dns.server.%d") + r.list("Domains", "dns.domain.%d")
	for i := 0; i < guestinfoMax; i++ {
		unit, ok := r.iface(i, &g.Facts.Values, dns)
		if !ok {
			break
		}
		g.Network = append(g.Network, unit)
	}
	return g, r.err
}

// guestReader keeps the first error.
type guestReader struct {
	read func(string) (string, error)
	err  error
}

func (r *guestReader) get(format string, args ...any) string {
	if r.err != nil {
		return ""
	}
	key := fmt.Sprintf(format, args...)
	value, err := r.read(key)
	if err != nil {
		r.err = fmt.Errorf("reading guestinfo.%s: %w", key, err)
	}
	if strings.ContainsAny(value, "\r\n") && !strings.Contains(key, "config.data") {
		r.err = fmt.Errorf("guestinfo.%s has several lines", key)
		return ""
	}
	return value
}

func (r *guestReader) list(name, format string) string {
	var b strings.Builder
	for i := 0; i < guestinfoMax; i++ {
		v := r.get(format, i)
		if v == "" {
			break
		}
		fmt.Fprintf(&b, "%s=%s\n", name, v)
	}
	return b.String()
}

// iface reads one interface; there is none if it has no key at all.
func (r *guestReader) iface(i int, v *Values, dns string) (Unit, bool) {
	name, mac, dhcp := r.get("interface.%d.name", i), r.get("interface.%d.mac", i), r.get("interface.%d.dhcp", i)
	role := r.get("interface.%d.role", i)
	var text strings.Builder
	match := "Name=" + name
	if mac != "" {
		match = "MACAddress=" + mac
	}
	fmt.Fprintf(&text, "[Match]\n%s\n\n[Network]\n%s", match, dns)
	if dhcp == "yes" || dhcp == "true" || dhcp == "1" {
		text.WriteString("DHCP=yes\n")
	}
	addresses := r.addresses(&text, i, role, v)
	routes := r.routes(&text, i)
	if name == "" && mac == "" {
		if addresses+routes > 0 && r.err == nil {
			r.err = fmt.Errorf("guestinfo.interface.%d has neither a name nor a mac", i)
		}
		return Unit{}, false
	}
	if name == "" {
		name = strings.ReplaceAll(mac, ":", "")
	}
	return Unit{Name: fmt.Sprintf("00-%s.network", strings.ReplaceAll(name, "/", "_")), Runtime: true, Content: text.String()}, true
}

func (r *guestReader) addresses(text *strings.Builder, i int, role string, v *Values) int {
	for a := 0; a < guestinfoMax; a++ {
		address := r.get("interface.%d.ip.%d.address", i, a)
		if address == "" {
			return a
		}
		prefix, err := netip.ParsePrefix(address)
		if err != nil {
			r.err = fmt.Errorf("guestinfo.interface.%d.ip.%d.address: %w", i, a, err)
			return a
		}
		fmt.Fprintf(text, "Address=%s\n", prefix)
		if err := v.note(role, prefix.Addr()); err != nil {
			r.err = fmt.Errorf("guestinfo.interface.%d.role: %w", i, err)
		}
	}
	return guestinfoMax
}

// note keeps an address by the role of its interface.
func (v *Values) note(role string, a netip.Addr) error {
	switch {
	case role == "":
	case role == "public" && a.Is4():
		v.PublicIPv4 = a.String()
	case role == "public":
		v.PublicIPv6 = a.String()
	case role == "private" && a.Is4():
		v.PrivateIPv4 = a.String()
	case role == "private":
		v.PrivateIPv6 = a.String()
	default:
		return fmt.Errorf("%q is neither public nor private", role)
	}
	return nil
}

func (r *guestReader) routes(text *strings.Builder, i int) int {
	for n := 0; n < guestinfoMax; n++ {
		gateway, destination := r.get("interface.%d.route.%d.gateway", i, n), r.get("interface.%d.route.%d.destination", i, n)
		if gateway == "" && destination == "" {
			return n
		}
		text.WriteString("\n[Route]\n")
		if destination != "" {
			fmt.Fprintf(text, "Destination=%s\n", destination)
		}
		if gateway != "" {
			fmt.Fprintf(text, "Gateway=%s\n", gateway)
		}
	}
	return guestinfoMax
}

// Network writes units of networkd that a cloud asks for.
func (m Machine) Network(ctx context.Context, units []Unit) error {
	if len(units) == 0 {
		return nil
	}
	return m.units(ctx, units)
}
