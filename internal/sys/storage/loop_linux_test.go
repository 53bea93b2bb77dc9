package storage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

const mib = 1 << 20

// loop makes a disk of a file, or skips the test.
func loop(t *testing.T, size int64, sector string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loop devices need root")
	}
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--partscan", "--sector-size", sector, image).Output()
	if err != nil {
		t.Skipf("no loop device is to be had: %v", err)
	}
	node := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", node).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return node
}

func machine(t *testing.T) *Machine {
	return &Machine{Sys: "/sys", Proc: "/proc", Aliases: filepath.Join(t.TempDir(), "aliases"), Exec: command.Exec}
}

func part(n int, name string, first, last uint64) gpt.Partition {
	return gpt.Partition{Number: n, Name: name, Type: gpt.MustGUID("0fc63daf-8483-4772-8e79-3d69d8477de4"), First: first, Last: last}
}

// shown is what the kernel knows of a disk: "p1 2048+2048", in units of 512 bytes.
func shown(t *testing.T, m *Machine, node string) (all []string) {
	t.Helper()
	parts, _, err := m.kernelPartitions(node)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parts {
		all = append(all, short(d))
	}
	return all
}

func short(d blockdev.Device) string {
	return fmt.Sprintf("%s %d+%d", strings.TrimPrefix(d.Path, "/dev/"+d.Disk), d.Start/512, d.Size/512)
}

func TestKernelFollowsTheTable(t *testing.T) {
	node := loop(t, 64*mib, "512")
	m := machine(t)
	d, err := m.Look(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	if d.Content.Type != "" || d.Table.Sectors != 64*2048 || d.Table.SectorSize != 512 || d.Use != "" {
		t.Errorf("a blank disk: %+v", d)
	}
	table := d.Table
	steps := []struct {
		parts []gpt.Partition
		want  []string
	}{
		{[]gpt.Partition{part(1, "a", 2048, 4095), part(3, "b", 8192, 16383)}, []string{"p1 2048+2048", "p3 8192+8192"}},
		{[]gpt.Partition{part(1, "a", 2048, 6143), part(2, "c", 16384, 20479)}, []string{"p1 2048+4096", "p2 16384+4096"}},
		{[]gpt.Partition{part(1, "a", 4096, 6143)}, []string{"p1 4096+2048"}},
	}
	for _, s := range steps {
		table.Partitions = s.parts
		if err := m.WriteTable(t.Context(), node, table); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.want, shown(t, m, node)); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := os.Stat(node + "p1"); err != nil {
		t.Error(err)
	}
	if err := m.ClearTable(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	if d, err := m.Look(t.Context(), node); err != nil || d.Content.Type != "" || len(d.Partitions) > 0 {
		t.Errorf("after wiping: %+v, %v", d, err)
	}
}

func TestSgdiskAgrees(t *testing.T) {
	for _, sector := range []string{"512", "4096"} {
		node := loop(t, 64*mib, sector)
		m := machine(t)
		d, err := m.Look(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		unit := uint64(mib / d.SectorSize)
		d.Table.Partitions = []gpt.Partition{part(1, "a", unit, 9*unit-1), part(5, "b", 10*unit, 20*unit-1)}
		if err := m.WriteTable(t.Context(), node, d.Table); err != nil {
			t.Fatal(err)
		}
		out, err := tooltest.Command(t, "sgdisk", "--verify", node).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "No problems found") {
			t.Errorf("%s-byte sectors: %v\n%s", sector, err, out)
		}
		if err := m.ClearTable(t.Context(), node); err != nil {
			t.Error(err)
		}
	}
}

func TestNamesAreFoundByReading(t *testing.T) {
	node := loop(t, 64*mib, "512")
	m := machine(t)
	d, err := m.Look(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	p := part(1, "wellcar loop test", 2048, 40959)
	p.GUID = gpt.MustGUID("5c2e3c5e-1d6f-4a0e-9d7a-0c1f5f1f8b11")
	d.Table.Partitions = []gpt.Partition{p}
	if err := m.WriteTable(t.Context(), node, d.Table); err != nil {
		t.Fatal(err)
	}
	const uuid = "b4a5b0c5-8a6f-4f0b-9a55-9c5d3ab0a001"
	if out, err := tooltest.Command(t, "mkfs.ext4", "-q", "-L", "wellcarloop", "-U", uuid, node+"p1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{
		node + "p1", "/dev/disk/by-partlabel/wellcar\\x20loop\\x20test", "/dev/disk/by-partuuid/" + p.GUID.String(),
		"/dev/disk/by-label/wellcarloop", "/dev/disk/by-uuid/" + uuid,
	} {
		got, err := m.Resolve(t.Context(), name)
		if err != nil || got != node+"p1" {
			t.Errorf("%s is %q, %v; want %sp1", name, got, err, node)
		}
		if alias, err := os.Readlink(filepath.Join(m.Aliases, name)); err != nil || alias != got {
			t.Errorf("the alias of %s leads to %q, %v", name, alias, err)
		}
	}
	info, err := m.Identify(t.Context(), node+"p1")
	if err != nil || info.Type != "ext4" || info.Label != "wellcarloop" {
		t.Errorf("%+v, %v", info, err)
	}
	if err := m.ClearTable(t.Context(), node); err != nil {
		t.Error(err)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", `a\x20b`: "a b", `a\x2fb\x`: `a/b\x`, "": ""} {
		if got := unescape(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestPartitionNode(t *testing.T) {
	for disk, want := range map[string]string{"/dev/vda": "/dev/vda9", "/dev/nvme0n1": "/dev/nvme0n1p9", "/dev/loop0": "/dev/loop0p9"} {
		if got := PartitionNode(disk, 9); got != want {
			t.Errorf("%s: %s, want %s", disk, got, want)
		}
	}
}

// TestVolume refuses a table on a device-mapper volume before it writes.
func TestVolume(t *testing.T) {
	node := loop(t, 8*mib, "512")
	m := machine(t)
	m.Sys = t.TempDir()
	if err := os.MkdirAll(filepath.Join(m.Sys, "class/block", filepath.Base(node), "dm"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := m.ClearTable(t.Context(), node)
	if err == nil || !strings.Contains(err.Error(), node+": it is a device-mapper volume") {
		t.Error(err)
	}
}
