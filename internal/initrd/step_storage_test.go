//go:build linux

package initrd

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/kmsg"
)

// memoryDevice is an open device in memory.
type memoryDevice struct {
	*bytes.Reader
	io.WriterAt
}

func (memoryDevice) Close() error { return nil }

// arrays is a machine with a disk that has a part of an array, and mdadm.
type arrays struct {
	*testing.T
	boot     *boot
	contents map[string][]byte // by node
	devices  []blockdev.Device
	commands []string
	complete bool // all parts are there
}

func newArrays(t *testing.T) *arrays {
	a := &arrays{T: t, contents: map[string][]byte{}}
	const size = 8 << 20
	disk := make([]byte, size)
	p := gpt.Partition{Number: 1, Name: "root1", Type: typeRootRAID, GUID: gpt.GUID{1}, First: 2048, Last: 8191}
	table := gpt.Table{DiskGUID: gpt.GUID{2}, SectorSize: 512, Sectors: size / 512, Partitions: []gpt.Partition{p}}
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err == nil {
		err = table.Write(f)
	}
	if err == nil {
		_, err = f.ReadAt(disk, 0)
	}
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	member := disk[1<<20 : 4<<20]
	sb := member[4096:]
	binary.LittleEndian.PutUint32(sb, 0xa92b4efc)
	binary.LittleEndian.PutUint32(sb[4:], 1)
	binary.LittleEndian.PutUint64(sb[144:], 8)
	a.contents["/dev/vdb"], a.contents["/dev/vdb1"] = disk, member
	a.devices = []blockdev.Device{
		{Name: "vdb", Path: "/dev/vdb", Size: size, SectorSize: 512},
		{Name: "vdb1", Path: "/dev/vdb1", Disk: "vdb", Partition: 1, Size: 3 << 20, SectorSize: 512},
	}
	root := t.TempDir()
	put(t, root, map[string]string{"run/wellcar/": "", "sys/class/block/vdb1/": ""})
	a.boot = &boot{opts: Options{Root: DefaultRoot}, disk: blockdev.Device{Name: "vda"}, m: Machine{
		Root: root, Log: func(kmsg.Level, string, ...any) {}, Quote: func(string, string) {}, Run: a.run,
		Devices:    func() ([]blockdev.Device, error) { return a.devices, nil },
		OpenDevice: func(path string) (Device, error) { return memoryDevice{Reader: bytes.NewReader(a.contents[path])}, nil },
	}}
	return a
}

// run is mdadm: an array that is not complete is assembled and not started.
func (a *arrays) run(_ context.Context, _ func(string), name string, args ...string) (int, error) {
	line := filepath.Base(name) + " " + strings.Join(args, " ")
	a.commands = append(a.commands, line)
	sys := filepath.Join(a.boot.m.Root, "sys/class/block")
	switch {
	case args[0] == "--stop":
		for _, dir := range []string{"md127", "vdb1/holders"} {
			if err := os.RemoveAll(filepath.Join(sys, dir)); err != nil {
				a.Fatal(err)
			}
		}
	case a.complete || strings.HasSuffix(line, "--run"):
		ext4 := make([]byte, 1<<20)
		binary.LittleEndian.PutUint16(ext4[1024+0x38:], 0xef53)
		copy(ext4[1024+0x78:], RootLabel)
		a.contents["/dev/md127"] = ext4
		a.devices = append(a.devices, blockdev.Device{Name: "md127", Path: "/dev/md127", Size: 1 << 20, SectorSize: 512})
	default:
		put(a.T, a.boot.m.Root, map[string]string{"sys/class/block/md127/md/array_state": "inactive\n", "sys/class/block/vdb1/holders/md127/": ""})
	}
	return 0, nil
}

func (a *arrays) try(degraded bool, members *string) string {
	plan, err := a.boot.tryRoot(a.Context(), members, degraded)
	if err != nil {
		return err.Error()
	}
	return plan.Volume.Device.Name
}

const (
	assembleAll = "mdadm --assemble --scan --config /run/wellcar/mdadm.conf --no-degraded"
	assembleRun = "mdadm --assemble --scan --config /run/wellcar/mdadm.conf --run"
)

func TestRootOnAnArray(t *testing.T) {
	a := newArrays(t)
	a.complete = true
	var members string
	if got := a.try(false, &members); got != "md127" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{assembleAll}, a.commands); diff != "" {
		t.Error(diff)
	}
	config, err := os.ReadFile(filepath.Join(a.boot.m.Root, "run/wellcar/mdadm.conf"))
	if err != nil || string(config) != "DEVICE /dev/vdb1\nHOMEHOST <ignore>\n" {
		t.Errorf("%q, %v", config, err)
	}
}

func TestDegradedRoot(t *testing.T) {
	a := newArrays(t)
	var members string
	for range 2 { // the second try has nothing new to assemble
		if got := a.try(false, &members); !strings.HasPrefix(got, "no root file system LABEL=ROOT among vdb1") {
			t.Error(got)
		}
	}
	members = ""
	if got := a.try(true, &members); got != "md127" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{assembleAll, "mdadm --stop /dev/md127", assembleRun}, a.commands); diff != "" {
		t.Error(diff)
	}
}
