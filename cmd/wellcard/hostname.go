//go:build linux

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wellcar.dev/internal/metadata"
	"wellcar.dev/internal/network"
)

// named are the platforms whose machines get their host name from metadata at
// the first boot; elsewhere DHCP brings it.
var named = []string{"azure", "brightbox", "digitalocean", "exoscale", "hetzner", "kubevirt", "openstack", "packet", "proxmoxve", "scaleway", "upcloud", "vultr"}

// hostnameTimeout is how long a first boot waits for a host name.
const hostnameTimeout = 20 * time.Second

// errNoNetwork spares a first boot that has only drives to ask the wait for
// servers.
var errNoNetwork = errors.New("this boot needed no network")

// nameMachine writes /etc/hostname, unless the config did. A machine without
// a name boots all the same.
func (p *provisioning) nameMachine() {
	file := filepath.Join(p.root, "etc/hostname")
	if _, err := os.Lstat(file); !slices.Contains(named, p.platform) || !errors.Is(err, fs.ErrNotExist) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostnameTimeout)
	defer cancel()
	machine := metadataMachine(p.platform, hostnameTimeout, func(format string, args ...any) { p.say(format, args...) })
	if _, err := os.Stat(network.StateFile); errors.Is(err, fs.ErrNotExist) {
		machine.Get = func(context.Context, metadata.Request) ([]byte, error) { return nil, errNoNetwork }
	}
	data, err := metadata.Fetch(ctx, p.platform, machine)
	if name := metadata.ShortName(data.Hostname); err == nil && name != "" {
		err = writePublic(file, []byte(name+"\n"))
		p.say("host name %s from %s", name, p.platform)
	}
	if err != nil {
		p.say("warning: no host name from metadata: %v", err)
	}
}
