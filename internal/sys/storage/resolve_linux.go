package storage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/uevent"
)

// DeviceWait is how long a device may take to appear.
const DeviceWait = 60 * time.Second

// Resolve waits for a device and returns its node. A name that it had at
// first goes on to work after the link has gone.
func (m *Machine) Resolve(ctx context.Context, device string) (string, error) {
	events, err := uevent.Listen() // before the first look, so that none is missed
	if err != nil {
		return "", err
	}
	defer events.Close()
	limited, cancel := context.WithTimeout(ctx, DeviceWait)
	defer cancel()
	for {
		node, err := m.find(ctx, device)
		if err == nil && node != "" {
			return node, m.alias(device, node)
		}
		if err != nil {
			return "", fmt.Errorf("finding device %s: %w", device, err)
		}
		if err := awaitChange(limited, events); err != nil {
			if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
				return "", fmt.Errorf("the device %s did not appear within %v", device, DeviceWait)
			}
			return "", fmt.Errorf("waiting for the device %s: %w", device, err)
		}
	}
}

// awaitChange returns when a block device has come or changed, and not for
// what runUdev asked the kernel to announce once more.
func awaitChange(ctx context.Context, events *uevent.Listener) error {
	for {
		list, err := events.Wait(ctx)
		if err != nil {
			return err
		}
		for _, e := range list {
			_, synthetic := e.Env["SYNTH_UUID"]
			if e.Env["SUBSYSTEM"] == "block" && e.Action != "remove" && !synthetic || e.Action == uevent.Lost {
				return nil
			}
		}
	}
}

// Find is the node of a device, or empty if it is not there now.
func (m *Machine) Find(ctx context.Context, device string) (string, error) {
	node, err := m.find(ctx, device)
	if err != nil {
		return "", fmt.Errorf("finding device %s: %w", device, err)
	}
	return node, nil
}

func (m *Machine) find(ctx context.Context, device string) (string, error) {
	if node := existing(device); node != "" {
		return node, nil
	}
	dir, name := filepath.Split(device)
	switch by := filepath.Clean(dir); by {
	case "/dev/disk/by-label", "/dev/disk/by-uuid", "/dev/disk/by-partlabel", "/dev/disk/by-partuuid":
		return m.search(filepath.Base(by), unescape(name))
	case "/dev/disk/by-id":
		if node, ok := mapped(name); ok {
			return node, nil
		}
	}
	if node := m.kept(device); node != "" {
		return node, nil
	}
	if !madeByUdev(device) {
		return "", nil
	}
	if node := partOf(device); node != "" {
		return node, nil
	}
	if err := m.runUdev(ctx); err != nil {
		return "", err
	}
	if node := existing(device); node != "" {
		return node, nil
	}
	return partOf(device), nil
}

func existing(device string) string {
	node, err := filepath.EvalSymlinks(device)
	if err != nil || !isBlock(node) {
		return ""
	}
	return node
}

// kept is the node that a name led to earlier in this boot.
func (m *Machine) kept(device string) string {
	if m.Aliases == "" {
		return ""
	}
	return existing(filepath.Join(m.Aliases, device))
}

// mapped finds names of device-mapper and RAID that need no udev.
func mapped(id string) (string, bool) {
	for prefix, dir := range map[string]string{"dm-name-": "/dev/mapper/", "md-name-any:": "/dev/md/", "md-name-": "/dev/md/"} {
		if name, ok := strings.CutPrefix(id, prefix); ok {
			node := existing(dir + unescape(name))
			return node, node != ""
		}
	}
	return "", false
}

func madeByUdev(device string) bool {
	dir := filepath.Dir(device)
	return (dir == "/dev/disk/by-id" || dir == "/dev/disk/by-path" || dir == "/dev/disk/by-diskseq") && !strings.HasPrefix(filepath.Base(device), "dm-name-")
}

var partSuffix = regexp.MustCompile(`^(.+)-part([0-9]+)$`)

// partOf finds NAME-partN by the disk NAME, for a partition made after udev
// had run.
func partOf(device string) string {
	match := partSuffix.FindStringSubmatch(device)
	if match == nil {
		return ""
	}
	disk := existing(match[1])
	if disk == "" {
		return ""
	}
	number, err := strconv.Atoi(match[2])
	if err != nil {
		return ""
	}
	return existing(PartitionNode(disk, number))
}

// search looks on all devices for what they are called.
func (m *Machine) search(by, name string) (string, error) {
	devices, err := blockdev.List(m.Sys)
	if err != nil {
		return "", err
	}
	tables := map[string]gpt.Table{}
	for _, d := range devices {
		if d.IsDisk() {
			if _, t, err := read(d); err == nil {
				tables[d.Name] = t
			}
			if by == "by-partlabel" || by == "by-partuuid" {
				continue
			}
		}
		info, err := identify(d)
		if err == nil && called(by, name, d, info, tables[d.Disk]) {
			return d.Path, nil
		}
	}
	return "", nil
}

// called tells whether a device has a name. A drive without a medium, which
// cannot be read, has none.
func called(by, name string, d blockdev.Device, info probe.Info, t gpt.Table) bool {
	p, _ := t.Partition(d.Partition)
	member := info.Usage == probe.RAID
	switch by {
	case "by-label":
		return info.Label == name && !member
	case "by-uuid":
		return info.UUID != "" && strings.EqualFold(info.UUID, name) && !member && info.Usage != probe.Table
	case "by-partlabel":
		return d.Partition > 0 && p.Name == name
	}
	return d.Partition > 0 && strings.EqualFold(p.GUID.String(), name)
}

// unescape undoes udev's \x20.
func unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		var c byte
		if n, err := fmt.Sscanf(name[i:], `\x%2x`, &c); n == 1 && err == nil {
			b.WriteByte(c)
			i += 3
			continue
		}
		b.WriteByte(name[i])
	}
	return b.String()
}
