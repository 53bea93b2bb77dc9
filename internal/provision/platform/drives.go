package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// nocloud reads a drive in the form of cloud-init, and gives up after half a
// minute: such machines may have none.
type nocloud struct{ files []string }

const halfMinute = 30 // tries, one second each

// Fetch implements Source.
func (s nocloud) Fetch(ctx context.Context, env Env) (Found, error) {
	found, err := env.drive(ctx, "cidata", halfMinute, s.files...)
	if errors.Is(err, errLate) {
		return Found{Name: "drive cidata"}, nil
	}
	return found, err
}

// skipped tells whether a file of a drive says nothing to Ignition, so that
// the next one is looked at.
func skipped(data []byte) bool {
	return len(data) == 0 || bytes.HasPrefix(data, []byte("#cloud-config\n"))
}

// configDrive waits for a drive in the form of OpenStack.
type configDrive struct{}

// Fetch implements Source.
func (configDrive) Fetch(ctx context.Context, env Env) (Found, error) {
	return env.drive(ctx, "config-2", forEver, openstackData)
}

// kubevirt has a drive in one form or the other.
type kubevirt struct{}

// Fetch implements Source.
func (kubevirt) Fetch(ctx context.Context, env Env) (Found, error) {
	return first(ctx,
		func(ctx context.Context) (Found, error) { return env.drive(ctx, "cidata", forEver, "/user-data") },
		func(ctx context.Context) (Found, error) { return env.drive(ctx, "config-2", forEver, openstackData) })
}

// cloudstack has a drive, or a server at the address that gave the lease.
type cloudstack struct{}

// Fetch implements Source.
func (cloudstack) Fetch(ctx context.Context, env Env) (Found, error) {
	if err := env.needsNetwork(); err != nil {
		return Found{}, err
	}
	drive := func(label string) try {
		return func(ctx context.Context) (Found, error) {
			return env.drive(ctx, label, forEver, "/cloudstack/userdata/user_data.txt")
		}
	}
	return first(ctx, drive("config-2"), drive("CONFIG-2"), env.cloudstackWeb)
}

func (env Env) cloudstackWeb(ctx context.Context) (Found, error) {
	if env.DHCPServer == nil {
		return Found{}, missing("DHCP leases")
	}
	var server string
	err := env.poll(ctx, 500*time.Millisecond, forEver, func() (bool, error) {
		address, err := env.DHCPServer()
		server = address
		return address != "", err
	})
	if err != nil {
		return Found{}, fmt.Errorf("waiting for a lease that names its server: %w", err)
	}
	return web{url: fmt.Sprintf("http://%s/latest/user-data", server)}.Fetch(ctx, env)
}
