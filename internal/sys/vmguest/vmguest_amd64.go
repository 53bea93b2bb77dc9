//go:build linux

// Package vmguest reads and writes the guestinfo of a VMware virtual machine
// through the port that its hypervisor watches (the "backdoor").
//
// Elsewhere than on VMware nothing is available, and nothing of it can be
// tested there.
package vmguest

import (
	"fmt"
	"strings"

	"github.com/vmware/vmw-guestinfo/rpcout"
	"github.com/vmware/vmw-guestinfo/vmcheck"
)

// Available tells whether this is a guest of VMware.
func Available() bool {
	ok, err := vmcheck.IsVirtualWorld(true)
	return err == nil && ok
}

// Get reads a key, without the prefix guestinfo. One that does not exist is
// "".
func Get(key string) (string, error) {
	out, ok, err := rpcout.SendOne("info-get guestinfo.%s", key)
	if err != nil || !ok {
		return "", err
	}
	return string(out), nil
}

// Set writes a key. The protocol has no quoting, so that a value must not
// begin with a space.
func Set(key, value string) error {
	if strings.HasPrefix(value, " ") {
		return fmt.Errorf("setting guestinfo.%s: a value that begins with a space cannot be sent", key)
	}
	out, ok, err := rpcout.SendOne("info-set guestinfo.%s %s", key, value)
	if err == nil && !ok {
		err = fmt.Errorf("the hypervisor answers %q", out)
	}
	return err
}
