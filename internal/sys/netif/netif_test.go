//go:build linux

package netif

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"wellcar.dev/internal/sys/command"
)

const aliasText = `# Aliases extracted from modules themselves.
alias virtio:d00000001v* virtio_net
alias virtio:d00000002v* virtio_blk
alias pci:v00008086d0000100Esv*sd*bc*sc*i* e1000
alias pci:v00008086d0000[12]5*sv*sd*bc*sc*i* igc
alias usb:v*p*d*dc*dsc*dp*ic02isc06ip00in* cdc_ether
alias cdrom sr_mod
`

const depsText = `kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz
kernel/drivers/net/ethernet/intel/e1000/e1000.ko:
kernel/drivers/net/ethernet/intel/igc/igc.ko:
kernel/drivers/net/usb/cdc_ether.ko: kernel/drivers/net/usb/usbnet.ko
kernel/drivers/net/wireless/ath/ath.ko:
kernel/drivers/block/virtio_blk.ko:
`

func TestDrivers(t *testing.T) {
	devices := []string{"virtio:d00000001v00001AF4", "virtio:d00000002v00001AF4", "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00", "acpi:PNP0103:"}
	got := drivers(aliasText, networkModules(depsText), devices)
	if diff := cmp.Diff([]string{"virtio_net", "e1000"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestModaliases(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"a/b", "c"} {
		os.MkdirAll(filepath.Join(root, d), 0o755)
		os.WriteFile(filepath.Join(root, d, "modalias"), []byte("x:y\n"), 0o644)
	}
	got, err := modaliases(root)
	if diff := cmp.Diff([]string{"x:y"}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestPredictable(t *testing.T) {
	run := func(_ context.Context, c command.Cmd) (command.Result, error) {
		return command.Result{Stdout: []byte("ID_NET_NAMING_SCHEME=v257\nID_NET_NAME_MAC=enx525400123456\nID_NET_NAME_PATH=enp0s3\nID_NET_NAME_SLOT=ens3\n")}, nil
	}
	if diff := cmp.Diff([]string{"ens3", "enp0s3", "enx525400123456"}, Predictable(t.Context(), run, "eth0")); diff != "" {
		t.Error(diff)
	}
}

func TestLease(t *testing.T) {
	ack, err := dhcpv4.New(dhcpv4.WithYourIP(net.IPv4(10, 0, 0, 7)), dhcpv4.WithNetmask(net.CIDRMask(32, 32)), dhcpv4.WithRouter(net.IPv4(10, 0, 0, 1)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 0, 0, 2))), dhcpv4.WithDomainSearchList("a.example", "b.example"),
		dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{5, 180}),
		dhcpv4.WithGeneric(dhcpv4.OptionClasslessStaticRoute, []byte{32, 10, 0, 0, 1, 0, 0, 0, 0, 0, 10, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := lease4(ack)
	a, p := netip.MustParseAddr, netip.MustParsePrefix
	want := Lease{Address: p("10.0.0.7/32"), Server: a("10.0.0.2"), MTU: 1460, Search: []string{"a.example", "b.example"},
		Routes: []Route{{To: p("10.0.0.1/32")}, {To: p("0.0.0.0/0"), Gateway: a("10.0.0.1")}}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); err != nil || diff != "" {
		t.Error(err, diff)
	}
	none, _ := dhcpv4.New()
	if _, err := lease4(none); err == nil {
		t.Error("a lease without an address passed")
	}
}

func FuzzLease(f *testing.F) {
	ack, _ := dhcpv4.New(dhcpv4.WithYourIP(net.IPv4(10, 0, 0, 7)), dhcpv4.WithGeneric(dhcpv4.OptionClasslessStaticRoute, []byte{0, 10, 0, 0, 1}))
	f.Add(ack.ToBytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := dhcpv4.FromBytes(data)
		if err != nil {
			return
		}
		l, err := lease4(m)
		if err != nil {
			return
		}
		for _, r := range l.Routes {
			if !r.To.IsValid() || !l.Address.IsValid() {
				t.Errorf("lease %+v", l)
			}
		}
	})
}
