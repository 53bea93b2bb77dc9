package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"wellcar.dev/internal/provision"
)

// openstack takes what answers first: a config drive, or the metadata service
// at its IPv4 address or at its link-local IPv6 address of any interface.
type openstack struct{}

const openstackData = "/openstack/latest/user_data"

// Fetch implements Source.
func (openstack) Fetch(ctx context.Context, env Env) (Found, error) {
	if err := env.needsNetwork(); err != nil {
		return Found{}, err
	}
	drive := func(label string) try {
		return func(ctx context.Context) (Found, error) { return env.drive(ctx, label, forEver, openstackData) }
	}
	return first(ctx, drive("config-2"), drive("CONFIG-2"), env.openstackWeb, env.openstackIPv6)
}

func (env Env) openstackWeb(ctx context.Context) (Found, error) {
	return web{url: link + openstackData}.Fetch(ctx, env)
}

// openstackIPv6 asks over each interface as soon as it has an IPv6 address.
func (env Env) openstackIPv6(ctx context.Context) (Found, error) {
	if env.Interfaces == nil {
		return Found{}, missing("list of network interfaces")
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	answers := make(chan Found, 1)
	var asked []string
	for {
		names, err := env.Interfaces()
		if err != nil {
			return Found{}, err
		}
		for _, name := range names {
			if slices.Contains(asked, name) {
				continue
			}
			asked = append(asked, name)
			all.Go(func() {
				found, err := web{url: fmt.Sprintf("http://[fe80::a9fe:a9fe%%25%s]%s", name, openstackData), strict: true}.Fetch(ctx, env)
				if err != nil && !errors.Is(err, provision.ErrNotFound) {
					return // another interface may lead there
				}
				select {
				case answers <- found:
				default:
				}
			})
		}
		select {
		case found := <-answers:
			return found, nil
		default:
		}
		if err := env.sleep(ctx, time.Second); err != nil {
			return Found{}, err
		}
	}
}
