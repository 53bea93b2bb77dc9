//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/fetch"
	"wellcar.dev/internal/provision/platform"
	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/hvkvp"
	"wellcar.dev/internal/sys/vboxguest"
	"wellcar.dev/internal/sys/vmguest"
	"wellcar.dev/internal/sys/vsock"
)

// Largest answer of a metadata service, in bytes.
const answerMax = 64 << 20

// cloud is this machine for the sources of clouds. A request may take total
// with its repetitions; 0 means for ever.
func cloud(id string, total time.Duration, logf func(string, ...any)) platform.Cloud {
	c := platform.Cloud{
		Get: getter(id, total, logf), Drives: drives, Load: loadModule, Interfaces: ipv6Interfaces,
		DHCPServer: dhcpServer, OpenDisk: openDisk, Dial: dialHost, Pools: pools,
		Property: vboxguest.Property, DeleteProperty: vboxguest.Delete, Run: output, Post: post,
	}
	if vmguest.Available() {
		c.Guestinfo, c.SetGuestinfo = vmguest.Get, vmguest.Set
	}
	return c
}

// getter asks with the rules of the fetcher.
func getter(id string, total time.Duration, logf func(string, ...any)) func(context.Context, platform.Call) ([]byte, error) {
	options := fetch.Options{Platform: id, Total: total, Roots: systemRoots, Logf: logf}
	usual := fetch.New(options)
	options.Dial = dialFromLowPort
	low := fetch.New(options)
	return func(ctx context.Context, c platform.Call) ([]byte, error) {
		client := usual
		if c.LowPort {
			client = low
		}
		var answer capped
		err := client.Do(ctx, fetch.Call{Method: c.Method, URL: c.URL, Headers: c.Headers, Retry: c.Retry}, &answer)
		if err != nil {
			return nil, fmt.Errorf("fetching %s: %w", provision.Request{URL: c.URL}.Address(), err)
		}
		return answer.Bytes(), nil
	}
}

// capped is a buffer that refuses to grow without end.
type capped struct{ bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > answerMax {
		return 0, fmt.Errorf("the answer is larger than %d MiB", answerMax>>20)
	}
	return c.Buffer.Write(p)
}

// lowPorts are those that only root may use.
const lowPorts = 1022

// dialFromLowPort opens a connection from a random low port that is free.
func dialFromLowPort(ctx context.Context, network, address string) (net.Conn, error) {
	for {
		d := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{Port: 1 + rand.IntN(lowPorts)}}
		conn, err := d.DialContext(ctx, network, address)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return conn, err
		}
	}
}

func loadModule(name string) error {
	_, err := command.Exec(context.Background(), command.Cmd{Path: "modprobe", Args: []string{"-q", name}})
	return err
}

func ipv6Interfaces() ([]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing the network interfaces: %w", err)
	}
	var names []string
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil || i.Flags&net.FlagLoopback != 0 {
			continue // it went while we looked
		}
		for _, a := range addresses {
			if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() == nil {
				names = append(names, i.Name)
				break
			}
		}
	}
	return names, nil
}

// leases is where networkd keeps what DHCP servers gave.
const leases = "/run/systemd/netif/leases"

// dhcpServer is the address in the first lease that names its server.
func dhcpServer() (string, error) {
	entries, err := os.ReadDir(leases)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking for leases: %w", err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(leases, e.Name()))
		if err != nil {
			continue // it was replaced while we looked
		}
		for line := range strings.Lines(string(text)) {
			if address, ok := strings.CutPrefix(strings.TrimSpace(line), "SERVER_ADDRESS="); ok && address != "" {
				return address, nil
			}
		}
	}
	return "", nil
}

// openDisk opens the virtio disk with a serial.
func openDisk(serial string) (io.ReadCloser, error) {
	names, err := filepath.Glob("/sys/block/*/serial")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(text)) == serial {
			return os.Open(filepath.Join("/dev", filepath.Base(filepath.Dir(name))))
		}
	}
	return nil, fs.ErrNotExist
}

func dialHost(ctx context.Context, port uint32) (io.ReadWriteCloser, error) {
	return vsock.Dial(ctx, vsock.Host, port)
}

func pools(ctx context.Context) (map[int][]platform.Pair, error) {
	entries, err := hvkvp.Read(ctx)
	all := map[int][]platform.Pair{}
	for _, e := range entries {
		all[e.Pool] = append(all[e.Pool], platform.Pair{Key: e.Key, Value: e.Value})
	}
	return all, err
}

func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	r, err := command.Exec(ctx, command.Cmd{Path: name, Args: args})
	return r.Stdout, err
}

// post sends a message once; the machine does not wait long for it.
func post(ctx context.Context, url string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("sending to %s: the server answers %s", url, resp.Status)
	}
	return nil
}

// tellCloud says to a cloud that wants to know it what became of a stage. The
// last stage that writes files names the machine.
func (p *provisioning) tellCloud(s provision.Stage, failure error) {
	env := p.env(s == provision.StageFetchOffline)
	if err := platform.Tell(context.Background(), p.platform, env, string(s), failure); err != nil {
		p.say("telling the cloud: %v", err)
	}
	if s == provision.StageFiles && failure == nil {
		p.nameMachine()
	}
}
