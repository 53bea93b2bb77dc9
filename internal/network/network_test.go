//go:build linux

package network

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/server6"
	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/format/netconf"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/fetch"
	"wellcar.dev/internal/sys/netif"
	"wellcar.dev/internal/sys/uevent"
)

// The tests run in network namespaces of their own: this program starts
// itself in them, as the machine and as the router at the other end.
const (
	asMachine = "WELLCAR_TEST_MACHINE"
	asRouter  = "WELLCAR_TEST_ROUTER"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(asRouter); what != "" {
		if err := router(what); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var namespaces = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS, Pdeathsig: syscall.SIGKILL}

// machine runs the rest of a test in a namespace, and returns false outside.
func machine(t *testing.T) bool {
	if os.Getenv(asMachine) != "" {
		for _, err := range []error{unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("sysfs", "/sys", "sysfs", 0, "")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	t.Parallel()
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), asMachine+"=1")
	c.SysProcAttr = namespaces
	out, err := c.CombinedOutput()
	if strings.Contains(err2text(err), "operation not permitted") {
		t.Skip("network namespaces are not allowed here")
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

func err2text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// cable connects a new interface of the machine with a router that does what
// is said: words of dhcp4, dhcp6, ra, managed, other. A router that is late
// does so when it is told to go; one that is unplugged has no link before.
func cable(t *testing.T, name, what string) (answer func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), asRouter+"="+what)
	c.SysProcAttr = namespaces
	out, err := c.StdoutPipe()
	in, err2 := c.StdinPipe()
	if err != nil || err2 != nil || c.Start() != nil {
		t.Fatal("the router does not start", err, err2)
	}
	t.Cleanup(func() {
		in.Close()
		c.Process.Kill()
		c.Wait()
	})
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "r", PeerNamespace: netlink.NsPid(c.Process.Pid)}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the router says %q", line)
	}
	return func() {
		if _, err := io.WriteString(in, "go\n"); err != nil {
			t.Error(err)
		}
	}
}

// router serves on the first interface that comes, until its stdin ends.
func router(what string) error {
	var name string
	err := netif.Wait(context.Background(), func() (bool, error) {
		links, err := netif.List()
		if len(links) > 0 {
			name = links[0].Name
		}
		return name != "", err
	})
	if err != nil {
		return err
	}
	has := func(word string) bool { return strings.Contains(" "+what+" ", " "+word+" ") }
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0); err != nil {
		return err
	}
	if err := netif.Up(name); err != nil {
		return err
	}
	subnet := "10.9.0."
	if has("net7") {
		subnet = "10.7.0."
	}
	for _, a := range []string{subnet + "1/24", "fd09::1/64", "10.8.0.1/24"} {
		if err := netif.AddAddress(name, netip.MustParsePrefix(a), netip.Addr{}); err != nil {
			return err
		}
	}
	if has("vlan") {
		if err := netif.AddVLAN("v5", name, 5); err != nil {
			return err
		}
		netif.Up("v5")
		netif.AddAddress("v5", netip.MustParsePrefix("10.5.0.1/24"), netip.Addr{})
		name = "v5"
	}
	told := bufio.NewReader(os.Stdin)
	if has("late") || has("unplugged") {
		if has("unplugged") {
			err = netif.Down(name)
		}
		fmt.Println("ready")
		if line, _ := told.ReadString('\n'); err != nil || line != "go\n" {
			return fmt.Errorf("%q instead of the word to go, %w", line, err)
		}
		err = netif.Up(name)
	}
	if err == nil && has("http") {
		err = serveWeb(subnet + "1:80")
	}
	if err == nil && has("dhcp4") {
		err = serve4(name, subnet)
	}
	if err == nil && has("dhcp6") {
		err = serve6(name)
	}
	if err != nil {
		return err
	}
	if has("ra") { // needs the machine's end of the cable up
		go func() {
			if err := advertise(name, has("managed"), has("other")); err != nil {
				panic(err)
			}
		}()
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	io.Copy(io.Discard, told)
	return nil
}

func serveWeb(address string) error {
	l, err := net.Listen("tcp", address)
	if err == nil {
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "behind the late one") }))
	}
	return err
}

func serve4(name, subnet string) error {
	own, leased, names := net.ParseIP(subnet+"1"), net.ParseIP(subnet+"77"), net.ParseIP(subnet+"53")
	s, err := server4.NewServer(name, nil, func(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		kind := dhcpv4.MessageTypeOffer
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(leased),
			dhcpv4.WithServerIP(own), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(own)),
			dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(own), dhcpv4.WithDNS(names),
			dhcpv4.WithLeaseTime(600), dhcpv4.WithOption(dhcpv4.OptDomainName("lan.example")))
		if err == nil {
			conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
		}
	})
	if err == nil {
		go s.Serve()
	}
	return err
}

func serve6(name string) error {
	own := dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	s, err := server6.NewServer(name, nil, func(conn net.PacketConn, peer net.Addr, d dhcpv6.DHCPv6) {
		m, ok := d.(*dhcpv6.Message)
		if !ok {
			return
		}
		mods := []dhcpv6.Modifier{dhcpv6.WithServerID(&own), dhcpv6.WithDNS(net.ParseIP("fd09::53"))}
		reply, err := (*dhcpv6.Message)(nil), error(nil)
		if m.MessageType == dhcpv6.MessageTypeSolicit {
			reply, err = dhcpv6.NewAdvertiseFromSolicit(m, append(mods, leased(m))...)
		} else {
			reply, err = dhcpv6.NewReplyFromMessage(m, append(mods, leased(m))...)
		}
		if err == nil {
			conn.WriteTo(reply.ToBytes(), peer)
		}
	})
	if err == nil {
		go s.Serve()
	}
	return err
}

func leased(m *dhcpv6.Message) dhcpv6.Modifier {
	return func(d dhcpv6.DHCPv6) {
		if ia := m.Options.OneIANA(); ia != nil {
			d.AddOption(&dhcpv6.OptIANA{IaId: ia.IaId, Options: dhcpv6.IdentityOptions{Options: []dhcpv6.Option{
				&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP("fd09::77"), PreferredLifetime: time.Hour, ValidLifetime: time.Hour}}}})
		}
	}
}

// advertise answers solicitations.
func advertise(name string, managed, other bool) error {
	if err := netif.LinkLocal(context.Background(), name); err != nil {
		return err
	}
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err == nil {
		err = conn.JoinGroup(netip.MustParseAddr("ff02::2"))
	}
	if err != nil {
		return err
	}
	ra := &ndp.RouterAdvertisement{CurrentHopLimit: 64, RouterLifetime: time.Hour, ManagedConfiguration: managed, OtherConfiguration: other}
	if !managed {
		ra.Options = append(ra.Options, &ndp.PrefixInformation{PrefixLength: 64, OnLink: true, AutonomousAddressConfiguration: true,
			ValidLifetime: time.Hour, PreferredLifetime: time.Hour, Prefix: netip.MustParseAddr("fd09::")})
	}
	if !managed && !other {
		ra.Options = append(ra.Options, &ndp.RecursiveDNSServer{Lifetime: time.Hour, Servers: []netip.Addr{netip.MustParseAddr("fd09::54")}})
	}
	for {
		m, _, _, err := conn.ReadFrom()
		if _, ok := m.(*ndp.RouterSolicitation); ok && err == nil {
			conn.WriteTo(ra, nil, netip.MustParseAddr("ff02::1"))
		}
	}
}

// up brings the machine's network up as a command line says.
func up(t *testing.T, line string) (State, Options, error) {
	t.Helper()
	config, err := netconf.Parse(cmdline.Parse(line))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	opt := Options{Config: config, Virtual: true, Logf: t.Logf, Limit: 20 * time.Second,
		Resolv: filepath.Join(dir, "resolv.conf"), Leases: filepath.Join(dir, "leases")}
	n, err := Up(context.Background(), opt)
	n.Stop()
	return n.State(), opt, err
}

func mustUp(t *testing.T, line string) (State, Options) {
	t.Helper()
	s, opt, err := up(t, line)
	if err != nil {
		t.Fatal(err)
	}
	return s, opt
}

// wantAddress compares the addresses of an interface but its own.
func wantAddress(t *testing.T, name string, want ...string) {
	t.Helper()
	all, err := netif.Addresses(name)
	if err != nil {
		t.Error(err)
	}
	var got []string
	for _, a := range all {
		if !a.Addr().IsLinkLocalUnicast() {
			got = append(got, a.String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// down takes everything back, and nothing is left.
func down(t *testing.T, s State) {
	t.Helper()
	if err := Down(s, os.Remove); err != nil {
		t.Error(err)
	}
	links, _ := netlink.LinkList()
	for _, l := range links {
		addrs, _ := netlink.AddrList(l, netlink.FAMILY_ALL)
		if a := l.Attrs(); a.Name != "lo" && (a.Flags&net.FlagUp != 0 || len(addrs) > 0 || l.Type() != "veth" || a.MasterIndex != 0) {
			t.Errorf("left: %s %s %v %v", l.Type(), a.Name, a.Flags, addrs)
		}
	}
	for _, f := range s.Files {
		if _, err := os.Stat(f); err == nil {
			t.Errorf("left: %s", f)
		}
	}
}

func TestAny(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "dhcp4")
	cable(t, "b", "silent")
	s, opt := mustUp(t, "")
	wantAddress(t, "a", "10.9.0.77/24")
	wantAddress(t, "b")
	wantFile(t, opt.Resolv, "nameserver 10.9.0.53\nsearch lan.example\n")
	l, _ := netlink.LinkByName("a")
	wantFile(t, leaseFile(opt.Leases, l.Attrs().Index), "ADDRESS=10.9.0.77\nSERVER_ADDRESS=10.9.0.1\n")
	if routes, _ := netlink.RouteGet(net.IPv4(8, 8, 8, 8)); len(routes) != 1 || !routes[0].Gw.Equal(net.IPv4(10, 9, 0, 1)) {
		t.Errorf("the way out is %v", routes)
	}
	down(t, s)
}

// TestLate has a second interface that gets its address after the network was
// called up, and a fetch of something that only it leads to.
func TestLate(t *testing.T) {
	if !machine(t) {
		return
	}
	for _, how := range []string{"late", "unplugged"} {
		t.Run(how, func(t *testing.T) {
			cable(t, "a", "dhcp4")
			answer := cable(t, "b", how+" net7 dhcp4 http")
			config, _ := netconf.Parse(cmdline.Parse("rd.route=10.6.0.0/16:10.7.0.9"))
			changed := make(chan State, 9)
			opt := Options{Config: config, Virtual: true, Logf: t.Logf, Limit: 20 * time.Second, Resolv: filepath.Join(t.TempDir(), "resolv.conf"),
				Changed: func(s State) { changed <- s }}
			n, err := Up(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			wantAddress(t, "b")
			wantFile(t, opt.Resolv, "nameserver 10.9.0.53\nsearch lan.example\n")
			fetched := fetchLate(t, answer)
			if fetched != "behind the late one" {
				t.Errorf("fetched %q", fetched)
			}
			if s := <-changed; !slices.Contains(s.Up, "b") {
				t.Error(s)
			}
			wantAddress(t, "b", "10.7.0.77/24")
			wantFile(t, opt.Resolv, "nameserver 10.9.0.53\nnameserver 10.7.0.53\nsearch lan.example\n")
			for to, want := range map[string]string{"8.8.8.8": "10.9.0.1", "10.6.1.1": "10.7.0.9"} {
				if routes, err := netlink.RouteGet(net.ParseIP(to)); len(routes) != 1 || routes[0].Gw.String() != want {
					t.Errorf("to %s it goes by %v, %v, want %s", to, routes, err, want)
				}
			}
			n.Stop()
			down(t, n.State())
			for _, name := range []string{"a", "b"} {
				if err := netif.Delete(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// fetchLate fetches from behind the interface that has no address yet; after
// the first try that fails it gets one.
func fetchLate(t *testing.T, answer func()) string {
	t.Helper()
	once := sync.OnceFunc(answer)
	client := fetch.New(fetch.Options{Total: time.Minute, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
		if err != nil {
			once()
		}
		return conn, err
	}})
	var out bytes.Buffer
	if err := client.Fetch(t.Context(), provision.Request{URL: "http://10.7.0.1/"}, &out); err != nil {
		t.Error(err)
	}
	client.Close()
	return out.String()
}

// TestPlugged has cards that come when others are there already: first where
// none of them is answered, then where one was.
func TestPlugged(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "silent")
	changed := make(chan State, 9)
	opt := Options{Virtual: true, Logf: t.Logf, Limit: 20 * time.Second, Changed: func(s State) { changed <- s }}
	plugged := make(chan func(), 1)
	go func() {
		netif.Carrier(t.Context(), "a") // it is up, so all that were there are known
		plugged <- cable(t, "b", "dhcp4")
	}()
	n, err := Up(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	<-plugged
	wantAddress(t, "b", "10.9.0.77/24")
	cable(t, "c", "net7 dhcp4")
	for s := range changed {
		if addrs, err := netif.Addresses("c"); err != nil || slices.Contains(s.Up, "c") && hasIPv4(addrs) {
			break
		}
	}
	wantAddress(t, "c", "10.7.0.77/24")
	if routes, _ := netlink.RouteGet(net.IPv4(8, 8, 8, 8)); len(routes) != 1 || !routes[0].Gw.Equal(net.IPv4(10, 9, 0, 1)) {
		t.Errorf("the way out is %v", routes)
	}
	n.Stop()
	if err := netif.Delete("c"); err != nil { // as if it was pulled out
		t.Error(err)
	}
	down(t, n.State())
}

func hasIPv4(addrs []netip.Prefix) bool {
	return slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// TestDevices loads what the devices of events need, and says what it cannot.
func TestDevices(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	turns := [][]uevent.Event{
		{{Action: "add", Env: map[string]string{"MODALIAS": "usb:v0525"}}, {Action: "remove", Env: map[string]string{"MODALIAS": "gone"}}},
		{{Action: "add", Env: map[string]string{"SUBSYSTEM": "net"}}},
		{{Action: "add", Env: map[string]string{"MODALIAS": "bad"}}, {Action: "add", Env: map[string]string{"MODALIAS": "pci:v8086"}}},
	}
	wait := func(context.Context) ([]uevent.Event, error) {
		if len(turns) == 0 {
			cancel()
			return nil, ctx.Err()
		}
		now := turns[0]
		turns = turns[1:]
		return now, nil
	}
	var loaded, said []string
	n := &Network{Options: Options{Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}}
	n.devices(ctx, wait, func(aliases []string) error {
		loaded = append(loaded, aliases...)
		if slices.Contains(aliases, "bad") {
			return errors.New("modprobe: no such module")
		}
		return nil
	})
	if diff := cmp.Diff([]string{"usb:v0525", "bad", "pci:v8086"}, loaded); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"some drivers are missing: modprobe: no such module"}, said); diff != "" {
		t.Error(diff)
	}
}

// TestStopped ends what has no answer.
func TestStopped(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "dhcp4")
	cable(t, "b", "late")
	n, err := Up(t.Context(), Options{Virtual: true, Logf: t.Logf, Limit: 20 * time.Second, Changed: func(s State) { t.Error("changed:", s) }})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n.Stop()
	if took := time.Since(began); took > 10*time.Second { // asking would go on for ever
		t.Errorf("it took %s", took)
	}
	down(t, n.State())
}

func TestRace(t *testing.T) {
	fails, now := errors.New("no"), time.Unix(0, 0)
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	patient := []task{{others: 5 * time.Second}, {others: 2 * time.Second}, {}}
	for name, c := range map[string]struct {
		ends func(*race)
		over []int // first second in which the race is over
	}{
		"nothing ended":  {func(r *race) {}, nil},
		"one failed":     {func(r *race) { r.ended(0, fails, at(0)) }, nil},
		"one came":       {func(r *race) { r.ended(0, nil, at(1)) }, []int{6}},
		"a shorter wait": {func(r *race) { r.ended(0, nil, at(1)); r.ended(1, nil, at(2)) }, []int{4}},
		"a longer wait":  {func(r *race) { r.ended(1, nil, at(1)); r.ended(0, nil, at(2)) }, []int{3}},
		"waits for all":  {func(r *race) { r.ended(2, nil, at(1)) }, nil},
		"all ended":      {func(r *race) { r.ended(0, nil, at(1)); r.ended(1, fails, at(1)); r.ended(2, fails, at(1)) }, []int{0}},
	} {
		r := newRace(patient)
		c.ends(r)
		var over []int
		for second := range 100 {
			if r.over(at(second)) {
				over = []int{second}
				break
			}
		}
		if diff := cmp.Diff(c.over, over); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestResolvConf(t *testing.T) {
	got := resolvConf([][]string{{"1", "2", "3"}, nil, {"4", "1"}}, []string{"x", "y", "x"})
	if want := "nameserver 1\nnameserver 4\nnameserver 2\nnameserver 3\nsearch x y\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAdvertised(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "ra")
	s, opt := mustUp(t, "ip=a:auto6 nameserver=10.0.0.1")
	all, _ := netif.Addresses("a")
	if len(all) != 2 || !netip.MustParsePrefix("fd09::/64").Contains(all[0].Addr()) {
		t.Error(all)
	}
	wantFile(t, opt.Resolv, "nameserver 10.0.0.1\nnameserver fd09::54\n")
	down(t, s)
}

func TestDHCP6(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "ra managed dhcp6")
	s, opt := mustUp(t, "ip=auto6")
	wantAddress(t, "a", "fd09::77/128")
	wantFile(t, opt.Resolv, "nameserver fd09::53\n")
	down(t, s)
	s, _ = mustUp(t, "ip=a:dhcp6")
	wantAddress(t, "a", "fd09::77/128")
	down(t, s)
}

func TestInformed(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "ra other dhcp6")
	s, opt := mustUp(t, "")
	wantFile(t, opt.Resolv, "nameserver fd09::53\n")
	down(t, s)
}

func TestStatic(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "silent")
	s, opt := mustUp(t, "ip=10.9.0.5::10.9.0.1:255.255.255.0:node:a:none:10.9.0.2 ip=[fd09::5]::[fd09::1]:64::a:none rd.route=10.7.0.0/16:10.9.0.9 rd.route=10.6.0.0/16:10.9.0.8:a")
	wantAddress(t, "a", "10.9.0.5/24", "fd09::5/64")
	wantFile(t, opt.Resolv, "nameserver 10.9.0.2\n")
	if name, _ := os.Hostname(); name != "node" {
		t.Errorf("the machine is called %s", name)
	}
	for to, want := range map[string]string{"8.8.8.8": "10.9.0.1", "10.7.1.1": "10.9.0.9", "10.6.1.1": "10.9.0.8", "2001:db8::1": "fd09::1"} {
		if routes, err := netlink.RouteGet(net.ParseIP(to)); len(routes) != 1 || routes[0].Gw.String() != want {
			t.Errorf("to %s it goes by %v, %v, want %s", to, routes, err, want)
		}
	}
	down(t, s)
}

// TestRestored gives a card back as it was.
func TestRestored(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "dhcp4")
	look := func() netif.Link {
		links, err := netif.List()
		i := slices.IndexFunc(links, func(l netif.Link) bool { return l.Name == "a" })
		if err != nil || i < 0 {
			t.Fatal(links, err)
		}
		return links[i]
	}
	was := look()
	s, _ := mustUp(t, "ip=a:dhcp:1400:02:00:00:00:00:0c")
	if l := look(); l.MTU != 1400 || l.MAC != "02:00:00:00:00:0c" {
		t.Errorf("%+v", l)
	}
	down(t, s)
	if diff := cmp.Diff(was, look()); diff != "" {
		t.Error(diff)
	}
}

// supported skips a test whose kind of interface the kernel does not have.
func supported(t *testing.T, probe netlink.Link) {
	t.Helper()
	if err := netlink.LinkAdd(probe); err != nil {
		t.Skipf("the kernel makes no %s: %v", probe.Type(), err)
	}
	if err := netlink.LinkDel(probe); err != nil {
		t.Fatal(err)
	}
}

func TestVLAN(t *testing.T) {
	if !machine(t) {
		return
	}
	supported(t, &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "probe", ParentIndex: 1}, VlanId: 9})
	cable(t, "a", "vlan dhcp4")
	s, _ := mustUp(t, "vlan=a.5:a ip=a.5:dhcp")
	wantAddress(t, "a.5", "10.9.0.77/24")
	wantAddress(t, "a")
	down(t, s)
}

func TestBond(t *testing.T) {
	if !machine(t) {
		return
	}
	supported(t, netlink.NewLinkBond(netlink.LinkAttrs{Name: "probe"}))
	cable(t, "a", "dhcp4")
	cable(t, "b", "dhcp4")
	s, _ := mustUp(t, "bond=bond7:a,b:mode=active-backup,miimon=100,primary=b:1400 ip=bond7:dhcp")
	wantAddress(t, "bond7", "10.9.0.77/24")
	wantAddress(t, "a")
	wantFile(t, "/sys/class/net/bond7/mtu", "1400\n")
	wantFile(t, "/sys/class/net/bond7/bonding/mode", "active-backup 1\n")
	wantFile(t, "/sys/class/net/bond7/bonding/slaves", "a b\n")
	down(t, s)
}

func TestNameAndBoot(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "dhcp4")
	cable(t, "b", "dhcp4")
	for name, mac := range map[string]string{"a": "02:00:00:00:00:0a", "b": "02:00:00:00:00:0b"} {
		if err := netif.SetMAC(name, mac); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := mustUp(t, "ifname=lan:02:00:00:00:00:0A BOOTIF=01-02-00-00-00-00-0a")
	wantAddress(t, "lan", "10.9.0.77/24")
	wantAddress(t, "b")
	down(t, s)
}

func TestFailures(t *testing.T) {
	if !machine(t) {
		return
	}
	cable(t, "a", "silent")
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/a/accept_dad", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"ip=a:dhcp":  "a: waiting for an answer of a DHCP server: gave up after 1s",
		"ip=dhcp6":   "a: waiting for an answer of a DHCPv6 server: gave up after 1s",
		"ip=z:dhcp":  "waiting for the interface z, there being a: gave up after 1s",
		"ip=a:auto6": "a: waiting for an IPv6 router: gave up after 1s",
	} {
		config, _ := netconf.Parse(cmdline.Parse(line))
		n, err := Up(context.Background(), Options{Config: config, Virtual: true, Limit: time.Second})
		if err2text(err) != want {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
		down(t, n.State())
	}
}

func TestNoCarrier(t *testing.T) {
	if !machine(t) {
		return
	}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a"}, PeerName: "other"}); err != nil {
		t.Fatal(err)
	}
	config, _ := netconf.Parse(cmdline.Parse("ip=a:dhcp"))
	n, err := Up(context.Background(), Options{Config: config, Virtual: true, Limit: time.Second})
	if err2text(err) != "a: waiting for a link to the other side: gave up after 1s" {
		t.Error(err)
	}
	down(t, n.State())
}

func TestState(t *testing.T) {
	name := filepath.Join(t.TempDir(), "d", "state")
	want := State{Up: []string{"a"}, Made: []string{"b"}, Files: []string{"/c"}}
	if err := want.Save(name); err != nil {
		t.Fatal(err)
	}
	got, err := LoadState(name)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if got, err = LoadState(name + "x"); err != nil || len(got.Up) > 0 {
		t.Error(got, err)
	}
}
