//go:build linux

package netif

import (
	"context"
	"strings"

	"wellcar.dev/internal/sys/command"
)

// nameKeys are what udev could name an interface after, the best first.
// https://www.freedesktop.org/software/systemd/man/systemd.net-naming-scheme.html
var nameKeys = []string{"ID_NET_NAME_ONBOARD", "ID_NET_NAME_SLOT", "ID_NET_NAME_PATH", "ID_NET_NAME_MAC"}

// Predictable are the names that the system, once it runs, may give to an
// interface, the most likely first. None are known without udev.
func Predictable(ctx context.Context, run command.Runner, name string) []string {
	got, err := run(ctx, command.Cmd{Path: "/usr/bin/udevadm", Args: []string{"test-builtin", "net_id", "/sys/class/net/" + name}})
	if err != nil {
		return nil
	}
	return predictable(string(got.Stdout))
}

func predictable(properties string) []string {
	values := map[string]string{}
	for line := range strings.Lines(properties) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	var out []string
	for _, key := range nameKeys {
		if values[key] != "" {
			out = append(out, values[key])
		}
	}
	return out
}
