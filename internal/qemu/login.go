package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSH waits until the machine lets the user log in, then connects. since is
// the console mark from which its readiness is looked for (0: the start).
//
// The image says on its console when it is ready, which is what is waited
// for. User networking accepts connections before the guest does, so an image
// that says nothing is found by trying every ten seconds. A first boot that
// reports its failure ends the wait; a later one may still fall back.
func (vm *VM) SSH(ctx context.Context, user string, key Key, since int) (*Client, error) {
	port := vm.HostPort(22)
	if port == 0 {
		return nil, errors.New("connecting by SSH: port 22 of the guest is not forwarded")
	}
	watch, stop := context.WithCancel(ctx)
	defer stop()
	ready := vm.Serial.seen(watch, since, ReachedSSH)
	var failed <-chan struct{}
	if since == 0 {
		failed = vm.Serial.seen(watch, 0, BootFailed)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	slow, quick := time.NewTicker(10*time.Second), time.NewTicker(250*time.Millisecond)
	defer slow.Stop()
	defer quick.Stop()
	last, pace := errors.New("the image did not report that SSH is ready"), slow.C
	for {
		select {
		case <-ready:
			ready, pace = nil, quick.C
		case <-pace:
		case <-failed:
			line, _ := vm.Serial.WaitFor(ctx, BootFailed)
			return nil, fmt.Errorf("the machine does not boot: %s%s", line.Text, vm.Serial.quote())
		case <-vm.Done():
			return nil, fmt.Errorf("connecting by SSH: %w%s", vm.qemu.failure(), vm.Serial.quote())
		case <-ctx.Done():
			return nil, fmt.Errorf("connecting by SSH: %w; last: %w%s", context.Cause(ctx), last, vm.Serial.quote())
		}
		client, err := dialSSH(ctx, ready, address, user, key)
		if err == nil {
			return client, nil
		}
		if last = err; ready == nil && refused(err) {
			return nil, fmt.Errorf("connecting by SSH: %w%s", err, vm.Serial.quote())
		}
	}
}

// refused tells a server that does not accept the key from one that is not up.
func refused(err error) bool { return strings.Contains(err.Error(), "unable to authenticate") }

// dialSSH tries once, for at most ten seconds, or until giveUp, which may be
// nil, is closed.
func dialSSH(ctx context.Context, giveUp <-chan struct{}, address, user string, key Key) (*Client, error) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	go func() {
		select {
		case <-giveUp:
			stop()
		case <-ctx.Done():
		}
	}()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	end := context.AfterFunc(ctx, func() { conn.Close() })
	defer end()
	config := &ssh.ClientConfig{
		User: user,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key.Signer)},
		// The machine has just made its key, and the way to it is the loopback.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	}
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Client{ssh.NewClient(c, channels, requests)}, nil
}
