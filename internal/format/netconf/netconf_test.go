package netconf

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/cmdline"
)

func TestParseIP(t *testing.T) {
	a, p := netip.MustParseAddr, netip.MustParsePrefix
	for in, want := range map[string]Interface{
		"dhcp":                          {Method: DHCP4},
		"on":                            {Method: DHCP4},
		"any":                           {Method: DHCP4},
		"dhcp6":                         {Method: DHCP6},
		"auto6":                         {Method: Auto6},
		"either6":                       {Method: Any},
		"link6":                         {Method: Link6},
		"off":                           {Method: off},
		"ens3:dhcp":                     {Name: "ens3", Method: DHCP4},
		"ens3:auto6:9000":               {Name: "ens3", Method: Auto6, MTU: 9000},
		"e:dhcp:1500:aa:bb:CC:dd:ee:ff": {Name: "e", Method: DHCP4, MTU: 1500, MAC: "aa:bb:cc:dd:ee:ff"},
		"e:dhcp::aa-bb-cc-dd-ee-ff:":    {},
		"10.0.0.5::10.0.0.1:255.255.255.0:node:eth0:none":           {Name: "eth0", Method: Static, Address: p("10.0.0.5/24"), Gateway: a("10.0.0.1"), Hostname: "node"},
		"10.0.0.5::10.0.0.1:24:node:eth0:off:1.1.1.1:8.8.8.8":       {Name: "eth0", Method: Static, Address: p("10.0.0.5/24"), Gateway: a("10.0.0.1"), Hostname: "node", DNS: []netip.Addr{a("1.1.1.1"), a("8.8.8.8")}},
		"10.0.0.5:10.0.0.9:::::none:1400":                           {Method: Static, Address: p("10.0.0.5/8"), Peer: a("10.0.0.9"), MTU: 1400},
		"192.168.1.2":                                               {},
		"192.168.1.2:::::eth0":                                      {Name: "eth0", Method: Static, Address: p("192.168.1.2/24")},
		"172.16.1.2:::::eth0":                                       {Name: "eth0", Method: Static, Address: p("172.16.1.2/16")},
		"::::node:eth0:dhcp":                                        {Name: "eth0", Method: DHCP4, Hostname: "node"},
		"[2001:db8::5]::[2001:db8::1]:64::eth0:none:[2001:db8::53]": {Name: "eth0", Method: Static, Address: p("2001:db8::5/64"), Gateway: a("2001:db8::1"), DNS: []netip.Addr{a("2001:db8::53")}},
		"[fd00::2]:::::eth0:none":                                   {Name: "eth0", Method: Static, Address: p("fd00::2/64")},
	} {
		got, err := parseIP(in)
		if want.Method == "" && want.Word == "" && in != "either6" {
			if err == nil {
				t.Errorf("%s: got %+v", in, got)
			}
			continue
		}
		want.Word = "ip=" + in
		if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", in, err, diff)
		}
	}
}

func TestParse(t *testing.T) {
	line := `quiet rd.neednet=1 BOOTIF=01-52-54-00-12-34-56 nameserver=10.0.0.1 nameserver=[fd00::1] rd.route=10.1.0.0/16:10.0.0.1:eth0 rd.route=[fd01::]/48:[fd00::1] ` +
		`ifname=lan:52:54:00:aa:bb:cc vlan=eth0.5:eth0 vlan=vlan0012:bond0 bond=bond0:eth1,eth2:mode=802.3ad,arp_ip_target=10.0.0.1;10.0.0.2:9000 bond rd.peerdns=0 bootdev=lan ip=off`
	c, err := Parse(cmdline.Parse(line))
	if err != nil {
		t.Fatal(err)
	}
	want := `{Interfaces:[] Nameservers:[10.0.0.1 fd00::1] Routes:[{To:10.1.0.0/16 Gateway:10.0.0.1 Device:eth0} {To:fd01::/48 Gateway:fd00::1 Device:}] ` +
		`Names:[{Name:lan MAC:52:54:00:aa:bb:cc}] VLANs:[{Name:eth0.5 Parent:eth0 ID:5} {Name:vlan0012 Parent:bond0 ID:12}] ` +
		`Bonds:[{Name:bond0 Members:[eth1 eth2] Options:[{Name:mode Value:802.3ad} {Name:arp_ip_target Value:10.0.0.1,10.0.0.2}] MTU:9000} ` +
		`{Name:bond0 Members:[eth0 eth1] Options:[{Name:mode Value:balance-rr}] MTU:0}] Boot:52:54:00:12:34:56 BootDevice:lan Needed:true IgnoreDNS:true}`
	if diff := cmp.Diff(want, fmt.Sprintf("%+v", c)); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for word, want := range map[string]string{
		"ip=dcp":                          "write dhcp, dhcp6, auto6",
		"ip=10.0.0.1::::h:eth0:magic":     `"magic" is no way to get an address`,
		"ip=10.0.0.1::10.0.0:24:h:e:none": `"10.0.0" is no address`,
		"ip=10.0.0.1:::33:h:e:none":       `"33" is no mask`,
		"ip=10.0.0.1:::255.0.255.0::e:":   "it has holes",
		"ip=:::::e:none":                  "the address is missing",
		"ip=fd00::2::::h:e:none":          `"fd00" is no address`,
		"ip=e/f:dhcp":                     `"e/f" is no name of an interface`,
		"ip=eth0:dhcp:9":                  `"9" is no size of a packet`,
		"ip=10.0.0.1::::h:e:none:a:b:c":   "too much follows the method",
		"nameserver=dns.example.org":      `"dns.example.org" is no address`,
		"rd.route=10.0.0.0/8:a":           `"a" is no address`,
		"ifname=lan:1:2":                  "write ifname=NAME:MAC",
		"vlan=lan:eth0":                   "write vlan=NAME:INTERFACE",
		"vlan=vlan4095:eth0":              "1 to 4094",
		"bond=b:eth0:fast":                `"fast" is no option of a bond`,
		"bond=b:eth0,:":                   `"" is no name of an interface`,
		"BOOTIF=x":                        "this is no address of an interface",
		"team=team0:eth0":                 "is not made before the system starts",
	} {
		_, err := Parse(cmdline.Parse("a=b " + word))
		if err == nil || !strings.HasPrefix(err.Error(), "reading "+word[:4]) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", word, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ip=dhcp", "ip=10.0.0.5::10.0.0.1:255.255.255.0:node:eth0:none:1.1.1.1", "ip=[fd00::2]:::64::e:none", "rd.route=[fd01::]/48:[fd00::1]:e",
		"vlan=eth0.5:eth0", "bond=b:a,c:mode=1:1500", "ifname=lan:52:54:00:aa:bb:cc", "BOOTIF=01-52-54-00-12-34-56"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, _ := Parse(cmdline.Parse(line))
		for _, i := range c.Interfaces {
			if i.Name != "" && !validName(i.Name) || i.Method == Static && !i.Address.IsValid() {
				t.Errorf("%q gives %+v", line, i)
			}
		}
		for _, v := range c.VLANs {
			if v.ID < 1 || v.ID > 4094 {
				t.Errorf("%q gives %+v", line, v)
			}
		}
	})
}
