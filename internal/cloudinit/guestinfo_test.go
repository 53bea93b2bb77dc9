package cloudinit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGuestinfo(t *testing.T) {
	keys := map[string]string{
		"hostname": "vm", "coreos.config.data": "I2Nsb3VkLWNvbmZpZwo=", "coreos.config.data.encoding": "base64",
		"dns.server.0": "10.0.0.53", "dns.domain.0": "example.com",
		"interface.0.name": "ens192", "interface.0.role": "private", "interface.0.ip.0.address": "10.0.0.4/24",
		"interface.0.route.0.gateway": "10.0.0.1", "interface.0.route.0.destination": "0.0.0.0/0",
		"interface.1.mac": "00:50:56:00:00:01", "interface.1.dhcp": "yes",
	}
	got, err := ReadGuestinfo(func(key string) (string, error) { return keys[key], nil })
	want := Guestinfo{
		UserData: []byte("#cloud-config\n"), Facts: Facts{Hostname: "vm", Values: Values{PrivateIPv4: "10.0.0.4"}},
		Network: []Unit{
			{Name: "00-ens192.network", Runtime: true, Content: "[Match]\nName=ens192\n\n[Network]\nDNS=10.0.0.53\nDomains=example.com\nAddress=10.0.0.4/24\n\n[Route]\nDestination=0.0.0.0/0\nGateway=10.0.0.1\n"},
			{Name: "00-005056000001.network", Runtime: true, Content: "[Match]\nMACAddress=00:50:56:00:00:01\n\n[Network]\nDNS=10.0.0.53\nDomains=example.com\nDHCP=yes\n"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%s %v", diff, err)
	}
	for key, value := range map[string]string{"interface.0.role": "odd", "interface.0.ip.0.address": "10.0.0.4", "interface.2.ip.0.address": "10.0.0.4/24", "hostname": "a\nb"} {
		old := keys[key]
		keys[key] = value
		if _, err := ReadGuestinfo(func(key string) (string, error) { return keys[key], nil }); err == nil || !strings.Contains(err.Error(), "guestinfo.") {
			t.Errorf("%s: %v", key, err)
		}
		keys[key] = old
	}
}
