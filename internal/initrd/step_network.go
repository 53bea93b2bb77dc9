//go:build linux

package initrd

import (
	"context"
	"errors"
	"strings"
	"sync"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/kmsg"
)

// network is the program that brings the network up and stays with it, for
// interfaces that are answered later.
type network struct {
	stop  context.CancelFunc
	up    chan struct{} // closed when the network is usable
	ended chan struct{} // closed when the program is gone
	err   error         // of the program, once it has ended
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// bringUpNetwork makes the network ready that provisioning needs. Drivers and
// program come from the verified /usr.
func (b *boot) bringUpNetwork(ctx context.Context) error {
	if b.network != nil && !closed(b.network.ended) {
		return nil
	}
	life, stop := context.WithCancel(context.Background())
	n := &network{stop: stop, up: make(chan struct{}), ended: make(chan struct{})}
	b.network = n
	go b.stayWithNetwork(life, n)
	select {
	case <-n.up:
		return nil
	case <-n.ended:
	case <-ctx.Done():
		stop()
		<-n.ended
		return context.Cause(ctx)
	}
	if failed := (*CommandError)(nil); errors.As(n.err, &failed) && failed.Last != "" {
		return errors.New(strings.TrimPrefix(failed.Last, "network: "))
	}
	return n.err
}

// stayWithNetwork ends with the program.
func (b *boot) stayWithNetwork(ctx context.Context, n *network) {
	defer close(n.ended)
	up := sync.OnceFunc(func() { close(n.up) })
	n.err = b.commandHeard(ctx, 0, func(line string) {
		if line == layout.NetworkUp {
			up()
		}
	}, provisioner, "network", "up", "--stay")
	if n.err == nil {
		n.err = errors.New("the program that keeps the network ended by itself")
	}
	if closed(n.up) && ctx.Err() == nil {
		b.m.Log(kmsg.Warning, "the network of the first boot: %v", n.err)
	}
}

// takeDownNetwork leaves the interfaces to the system as the kernel made
// them.
func (b *boot) takeDownNetwork(ctx context.Context) {
	if b.network == nil {
		return
	}
	b.network.stop()
	<-b.network.ended
	b.network = nil
	if err := b.command(ctx, 0, provisioner, "network", "down"); err != nil {
		b.m.Log(kmsg.Warning, "taking down the network of the first boot: %v", err)
	}
}
