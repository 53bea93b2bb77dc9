//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"wellcar.dev/internal/format/netconf"
	"wellcar.dev/internal/sys/netif"
)

// How long to wait for more once something works. Whoever has IPv6 alone may
// want servers that have not, and a DHCP server can take seconds to look
// whether an address is free; where there is IPv4, a router of IPv6 answers at
// once or never.
const (
	patience      = 5 * time.Second // with other interfaces
	patienceWith4 = 2 * time.Second // with IPv6 on the same one
	patienceWith6 = 10 * time.Second
)

// network is one call of Up.
type network struct {
	Options
	state State
	names map[string][]string // other names of interfaces, by that of the kernel

	mu      sync.Mutex
	servers []string
	search  []string
}

// Up brings up what the options say. What was changed is in the state, also
// after a failure; the error names each interface and what it waited for.
func Up(ctx context.Context, opt Options) (State, error) {
	if opt.Limit == 0 {
		opt.Limit = Limit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, opt.Limit, fmt.Errorf("gave up after %s", opt.Limit))
	defer cancel()
	n := &network{Options: opt, names: map[string][]string{}}
	if err := n.drivers(ctx); err != nil {
		n.logf("some drivers are missing: %v", err)
	}
	err := n.bringUp(ctx)
	return n.state, err
}

func (n *network) logf(format string, args ...any) {
	if n.Logf != nil {
		n.Logf(format, args...)
	}
}

func (n *network) drivers(ctx context.Context) error {
	if n.Modules == "" {
		return nil
	}
	more := []string{"af_packet"}
	if len(n.Config.VLANs) > 0 {
		more = append(more, "8021q")
	}
	if len(n.Config.Bonds) > 0 {
		more = append(more, "bonding")
	}
	return netif.LoadDrivers(ctx, n.Run, n.Modules, more...)
}

func (n *network) bringUp(ctx context.Context) error {
	if err := n.rename(ctx); err != nil {
		return err
	}
	if err := n.virtual(ctx); err != nil {
		return err
	}
	jobs, enough, err := n.jobs(ctx)
	if err != nil {
		return err
	}
	if err := n.all(ctx, jobs, enough); err != nil {
		return err
	}
	for _, r := range n.Config.Routes {
		if err := n.route(ctx, r); err != nil {
			return err
		}
	}
	for _, a := range n.Config.Nameservers {
		n.servers = append([]string{a.String()}, n.servers...)
	}
	return n.write(n.Resolv, resolvConf(n.servers, n.search))
}

// write makes a file that Down removes.
func (n *network) write(name, text string) error {
	if name == "" || text == "" {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, []byte(text), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing what the network told: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state.Files = append(n.state.Files, name)
	return nil
}

// rename gives interfaces the names of ifname=.
func (n *network) rename(ctx context.Context) error {
	for _, want := range n.Config.Names {
		l, err := n.await(ctx, string(want.MAC), func(l netif.Link) bool { return l.MAC == string(want.MAC) && l.Hardware != n.Virtual })
		if err == nil && l.Name != want.Name {
			err = errors.Join(netif.Down(l.Name), netif.Rename(l.Name, want.Name))
		}
		if err != nil {
			return fmt.Errorf("naming an interface %s: %w", want.Name, err)
		}
	}
	return nil
}

// await waits for an interface, which what describes.
func (n *network) await(ctx context.Context, what string, wanted func(netif.Link) bool) (netif.Link, error) {
	var found netif.Link
	var there []string
	err := netif.Wait(ctx, func() (bool, error) {
		links, err := netif.List()
		there = nil
		for _, l := range links {
			if wanted(l) {
				found = l
				return true, nil
			}
			there = append(there, l.Name)
		}
		return false, err
	})
	if err != nil {
		return found, fmt.Errorf("waiting for the interface %s, there being %s: %w", what, list(there), err)
	}
	return found, nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// named waits for an interface by any of its names.
func (n *network) named(ctx context.Context, name string) (netif.Link, error) {
	return n.await(ctx, name, func(l netif.Link) bool {
		if l.Name == name {
			return true
		}
		if _, asked := n.names[l.Name]; !asked && l.Hardware && n.Run != nil {
			n.names[l.Name] = netif.Predictable(ctx, n.Run, l.Name)
		}
		return slices.Contains(n.names[l.Name], name)
	})
}

// virtual makes bonds, then VLANs.
func (n *network) virtual(ctx context.Context) error {
	for _, b := range n.Config.Bonds {
		if err := n.bond(ctx, b); err != nil {
			return err
		}
	}
	for _, v := range n.Config.VLANs {
		parent, err := n.named(ctx, v.Parent)
		if err == nil {
			err = n.up(parent.Name)
		}
		if err == nil {
			err = netif.AddVLAN(v.Name, parent.Name, v.ID)
		}
		if err != nil {
			return err
		}
		n.state.Made = append(n.state.Made, v.Name)
	}
	return nil
}

func (n *network) bond(ctx context.Context, b netconf.Bond) error {
	var options [][2]string
	for _, o := range b.Options {
		options = append(options, [2]string{o.Name, o.Value})
	}
	n.state.Made = append(n.state.Made, b.Name)
	if err := netif.AddBond(b.Name, options); err != nil {
		return err
	}
	for _, name := range b.Members {
		member, err := n.named(ctx, name)
		if err == nil {
			err = netif.AddMember(b.Name, member.Name)
		}
		if err == nil {
			err = n.up(member.Name)
		}
		if err != nil {
			return err
		}
	}
	if b.MTU == 0 {
		return nil
	}
	return netif.SetMTU(b.Name, b.MTU)
}

func (n *network) up(name string) error {
	n.mu.Lock()
	if !slices.Contains(n.state.Up, name) {
		n.state.Up = append(n.state.Up, name)
	}
	n.mu.Unlock()
	return netif.Up(name)
}

// job is an interface and what it is to get.
type job struct {
	link netif.Link
	want netconf.Interface
}

// jobs are what is to be done at once; enough says that one success is.
func (n *network) jobs(ctx context.Context) (jobs []job, enough bool, err error) {
	all := n.Config.Interfaces
	if len(all) == 0 {
		all = []netconf.Interface{n.implied()}
	}
	for _, want := range all {
		if want.Name != "" {
			l, err := n.named(ctx, want.Name)
			if err != nil {
				return nil, false, err
			}
			jobs = append(jobs, job{l, want})
			continue
		}
		some, err := n.every(ctx)
		if err != nil {
			return nil, false, err
		}
		if want.Method == netconf.Static { // an address can be only in one place
			some = some[:1]
		}
		for _, l := range some {
			jobs = append(jobs, job{l, want})
		}
		enough = true
	}
	return jobs, enough, nil
}

// implied is what there is to do without ip=.
func (n *network) implied() netconf.Interface {
	if n.Config.BootDevice != "" {
		return netconf.Interface{Name: n.Config.BootDevice}
	}
	links, _ := netif.List()
	for _, l := range links {
		if n.Config.Boot != "" && l.MAC == string(n.Config.Boot) {
			return netconf.Interface{Name: l.Name}
		}
	}
	return netconf.Interface{}
}

// every waits for an interface of hardware, and returns all there are, bonds
// in place of their members.
func (n *network) every(ctx context.Context) ([]netif.Link, error) {
	usable := func(l netif.Link) bool {
		return l.Master == 0 && (l.Hardware || n.Virtual && l.Kind == "veth" || slices.Contains(n.state.Made, l.Name))
	}
	if _, err := n.await(ctx, "of any network card", usable); err != nil {
		return nil, err
	}
	links, err := netif.List()
	return slices.DeleteFunc(links, func(l netif.Link) bool { return !usable(l) }), err
}

// all does the jobs at once. With enough, it is one success, and a little
// patience with the others.
func (n *network) all(ctx context.Context, jobs []job, enough bool) error {
	others := time.Duration(0)
	if enough {
		others = patience
	}
	var tasks []task
	for i, j := range jobs {
		tasks = append(tasks, task{func(ctx context.Context) error { return n.configure(ctx, j, i) }, others})
	}
	errs := together(ctx, tasks)
	if enough && slices.Contains(errs, nil) {
		for _, err := range errs {
			if err != nil && !errors.Is(err, errLate) {
				n.logf("%v", err)
			}
		}
		return nil
	}
	return errors.Join(errs...)
}

// task is one of several ways.
type task struct {
	do     func(context.Context) error
	others time.Duration // that the others have after its success; 0: as long as they want
}

// together does tasks at once and returns what came of each. After a success
// the others are ended by errLate.
func together(ctx context.Context, tasks []task) []error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wait sync.WaitGroup
	errs := make([]error, len(tasks))
	for i, t := range tasks {
		wait.Go(func() {
			if errs[i] = t.do(ctx); errs[i] == nil && t.others > 0 {
				time.AfterFunc(t.others, func() { stop(errLate) })
			}
		})
	}
	wait.Wait()
	return errs
}

var errLate = errors.New("another interface was faster")

func (n *network) route(ctx context.Context, r netconf.Route) error {
	if r.Device != "" {
		l, err := n.named(ctx, r.Device)
		if err != nil {
			return err
		}
		return netif.AddRoute(l.Name, netif.Route{To: r.To, Gateway: r.Gateway}, 0)
	}
	for _, name := range n.state.Up {
		addrs, err := netif.Addresses(name)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Contains(r.Gateway) }) {
			return netif.AddRoute(name, netif.Route{To: r.To, Gateway: r.Gateway}, 0)
		}
	}
	return fmt.Errorf("adding the route to %s: no interface leads to the gateway %s", r.To, r.Gateway)
}
