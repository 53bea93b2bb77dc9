package qemu

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
)

// hostForward is a line of `info usernet`.
var hostForward = regexp.MustCompile(`TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)`)

func (vm *VM) learnPorts(ctx context.Context) error {
	if len(vm.Machine.Ports) == 0 {
		return nil
	}
	text, err := vm.Monitor.Human(ctx, "info usernet")
	if err != nil {
		return err
	}
	vm.Ports, err = matchPorts(vm.Machine.Ports, text)
	return err
}

// matchPorts finds the host port of each wanted forward in QEMU's list.
func matchPorts(wanted []Port, list string) ([]Port, error) {
	var open []Port
	for _, m := range hostForward.FindAllStringSubmatch(list, -1) {
		host, _ := strconv.Atoi(m[1])
		guest, _ := strconv.Atoi(m[2])
		open = append(open, Port{host, guest})
	}
	var out []Port
	for _, w := range wanted {
		i := indexPort(open, w)
		if i < 0 {
			return nil, fmt.Errorf("forwarding port %s: QEMU does not list it", w)
		}
		out = append(out, open[i])
		open = append(open[:i], open[i+1:]...)
	}
	return out, nil
}

func indexPort(open []Port, wanted Port) int {
	for i, p := range open {
		if p.Guest == wanted.Guest && (wanted.Host == 0 || wanted.Host == p.Host) {
			return i
		}
	}
	return -1
}

// HostPort is the host's port that leads to a port of the guest, or 0.
func (vm *VM) HostPort(guest int) int {
	for _, p := range vm.Ports {
		if p.Guest == guest {
			return p.Host
		}
	}
	return 0
}
