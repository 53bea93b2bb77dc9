//go:build linux

package initrd

import (
	"context"
	"strings"
	"testing"

	"wellcar.dev/internal/layout"
)

// keepsNetwork plays the program of the network until it is told to end.
func (f *fake) keepsNetwork(ctx context.Context, line func(string), verb string) (int, error) {
	if verb == "down" {
		return 0, nil
	}
	line("network: eth0 has 10.0.0.2/24 from 10.0.0.1")
	line(layout.NetworkUp)
	<-ctx.Done()
	f.did("the network's program ended")
	return -1, ctx.Err()
}

// TestNetwork has the program of the network beside the stages that need it,
// and gone before the system starts.
func TestNetwork(t *testing.T) {
	f := newFake(t, "")
	put(t, f.root, map[string]string{"run/ignition/neednet": ""})
	f.keeper = f.keepsNetwork
	if end := f.boot(nil); end != "handed over" {
		t.Errorf("ended: %s", end)
	}
	f.expect("--stage fetch-offline,fetch,kargs,disks", "network up --stay", "--stage fetch,kargs,disks", "--stage mount,files,umount",
		"the network's program ended", "network down")
	f.expectLog("network: eth0 has 10.0.0.2/24")
	f.expectNot("the network of the first boot")
}

func TestNetworkFails(t *testing.T) {
	f := newFake(t, "")
	put(t, f.root, map[string]string{"run/ignition/neednet": ""})
	f.keeper = func(_ context.Context, line func(string), _ string) (int, error) {
		line("network: waiting for the interface of any network card, there being none: gave up after 2m0s")
		return 1, nil
	}
	f.boot(nil)
	f.expectLog("BOOT FAILED: bringing up the network that the configuration needs: waiting for the interface of any network card")
	f.expectNot("--stage fetch,kargs,disks")
}

// TestNetworkProgramDies goes on without what answers late.
func TestNetworkProgramDies(t *testing.T) {
	f := newFake(t, "")
	put(t, f.root, map[string]string{"run/ignition/neednet": ""})
	f.keeper = func(_ context.Context, line func(string), verb string) (int, error) {
		if verb == "up" {
			line(layout.NetworkUp)
			return 2, nil
		}
		return 0, nil
	}
	if end := f.boot(nil); end != "handed over" {
		t.Errorf("ended: %s", end)
	}
	f.expect("network up --stay", "network down")
	if n := strings.Count(strings.Join(f.done, "\n"), "network up"); n != 1 {
		t.Errorf("it was brought up %d times", n)
	}
	f.expectLog("the network of the first boot: wellcard ended with status 2: network: up")
}
