package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/command"
)

// Machine is this machine. The fields must be set; see This.
type Machine struct {
	Sys, Proc string         // where sysfs and proc are mounted
	Aliases   string         // directory of links that keep a device's first name; empty: none are made
	Exec      command.Runner // runs the programs of the verified /usr
	Ignore    []string       // mount points that do not count as a use: they go before anything is changed
	mounted   []string       // by Mount, in order
}

// This is the machine that the program runs on.
func This() *Machine {
	return &Machine{Sys: "/sys", Proc: "/proc", Aliases: "/run/ignition/dev_aliases", Exec: command.Exec}
}

// environment of the programs. There is no udev that would make nodes for
// them while the initrd runs.
var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", "DM_DISABLE_UDEV=1", "MDADM_NO_UDEV=1"}

// Run runs a program and returns its stdout.
func (m *Machine) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	r, err := m.Exec(ctx, command.Cmd{Path: name, Args: args, Env: environment})
	return r.Stdout, err
}

// Look reads what is on a device.
func (m *Machine) Look(ctx context.Context, device string) (Disk, error) {
	node, err := m.Resolve(ctx, device)
	if err != nil {
		return Disk{}, err
	}
	devices, err := blockdev.List(m.Sys)
	if err != nil {
		return Disk{}, err
	}
	for _, d := range devices {
		if d.Path == node {
			return m.look(device, d, devices)
		}
	}
	return Disk{}, fmt.Errorf("looking at %s: %s is no block device", device, node)
}

func (m *Machine) look(device string, d blockdev.Device, all []blockdev.Device) (Disk, error) {
	disk := Disk{Device: device, Node: d.Path, Size: d.Size, SectorSize: int(d.SectorSize)}
	disk.Peek = func(start, size int64) (probe.Info, error) { return peek(d, start, size) }
	uses, err := blockdev.ReadUses(m.Sys, m.Proc)
	if err != nil {
		return Disk{}, err
	}
	disk.Use = m.use(uses, d)
	if disk.Content, disk.Table, err = read(d); err != nil {
		return Disk{}, fmt.Errorf("looking at %s: %w", device, err)
	}
	for _, p := range all {
		if p.Disk != d.Name {
			continue
		}
		content, err := identify(p)
		if err != nil {
			return Disk{}, fmt.Errorf("looking at %s: %w", p.Path, err)
		}
		disk.Partitions = append(disk.Partitions, Partition{Number: p.Partition, Node: p.Path, Content: content, Use: m.use(uses, p)})
	}
	return disk, nil
}

func (m *Machine) use(uses blockdev.Uses, d blockdev.Device) string {
	use := uses.Of(d)
	if slices.Contains(m.Ignore, strings.TrimPrefix(use, "mounted on ")) {
		return ""
	}
	return use
}

// read identifies what is on a device and reads its partition table.
func read(d blockdev.Device) (probe.Info, gpt.Table, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return probe.Info{}, gpt.Table{}, err
	}
	defer f.Close()
	info, err := probe.Identify(f, d.Size)
	if err != nil {
		return probe.Info{}, gpt.Table{}, err
	}
	blank := gpt.Table{SectorSize: int(d.SectorSize), Sectors: uint64(d.Size / d.SectorSize)}
	t, _, err := gpt.Read(f, d.Size, int(d.SectorSize))
	if errors.Is(err, gpt.ErrNone) {
		return info, blank, nil
	}
	if err != nil { // no copy is whole: the content tells that there is one
		info.UUID = ""
		return info, blank, nil
	}
	if t.Sectors < blank.Sectors {
		err = t.Grow(blank.Sectors)
	}
	return info, t, err
}

func identify(d blockdev.Device) (probe.Info, error) { return peek(d, 0, d.Size) }

func peek(d blockdev.Device, start, size int64) (probe.Info, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return probe.Info{}, err
	}
	defer f.Close()
	return probe.Identify(io.NewSectionReader(f, start, size), size)
}

// Identify tells what a device holds.
func (m *Machine) Identify(ctx context.Context, device string) (probe.Info, error) {
	node, err := m.Resolve(ctx, device)
	if err != nil {
		return probe.Info{}, err
	}
	f, err := os.Open(node)
	if err != nil {
		return probe.Info{}, fmt.Errorf("looking at %s: %w", device, err)
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return probe.Info{}, fmt.Errorf("looking at %s: %w", device, err)
	}
	info, err := probe.Identify(f, size)
	if err != nil {
		return probe.Info{}, fmt.Errorf("looking at %s: %w", device, err)
	}
	return info, nil
}

// Wipe erases all signatures of a device.
func (m *Machine) Wipe(ctx context.Context, device string) error {
	node, err := m.Resolve(ctx, device)
	if err != nil {
		return err
	}
	if _, err := m.Run(ctx, "wipefs", "--all", node); err != nil {
		return fmt.Errorf("wiping %s: %w", device, err)
	}
	return nil
}

// Secret puts bytes into a file that only root can read and that is in memory.
// The caller must call remove.
func (m *Machine) Secret(data []byte) (path string, remove func(), err error) {
	const dir = "/run/ignition"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("keeping a secret for a program: %w", err)
	}
	f, err := os.CreateTemp(dir, "secret-")
	if err != nil {
		return "", nil, fmt.Errorf("keeping a secret for a program: %w", err)
	}
	remove = func() { _ = os.Remove(f.Name()) } // gone with the memory in any case
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("keeping a secret for a program: %w", err)
	}
	return f.Name(), remove, nil
}

// alias keeps the first name of a device, as the tools of Ignition expect.
func (m *Machine) alias(device, node string) error {
	if m.Aliases == "" {
		return nil
	}
	link := filepath.Join(m.Aliases, device)
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return fmt.Errorf("keeping the name %s: %w", device, err)
	}
	temp := link + ".new"
	_ = os.Remove(temp)
	if err := os.Symlink(node, temp); err != nil {
		return fmt.Errorf("keeping the name %s: %w", device, err)
	}
	if err := os.Rename(temp, link); err != nil {
		return fmt.Errorf("keeping the name %s: %w", device, err)
	}
	return nil
}

func isBlock(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK
}
