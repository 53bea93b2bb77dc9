//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/sys/blockdev"
)

// TestCgptFindOnAllDisks: Flatcar's documented way back names no drive.
func TestCgptFindOnAllDisks(t *testing.T) {
	dir := t.TempDir()
	one, two, blank := filepath.Join(dir, "vda"), filepath.Join(dir, "nvme0n1"), filepath.Join(dir, "vdb")
	for _, name := range []string{one, two, blank} {
		if err := os.WriteFile(name, make([]byte, 8<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"create", one}, {"add", "-i", "3", "-b", "4096", "-s", "1000", "-t", "flatcar-usr", "-l", "USR-A", one},
		{"add", "-i", "4", "-b", "8192", "-s", "1000", "-t", "flatcar-usr", "-l", "USR-B", one},
		{"create", two}, {"add", "-i", "1", "-b", "2048", "-s", "1000", "-t", "data", "-l", "USR-A", two},
	} {
		var errOut bytes.Buffer
		if code := run(t.Context(), append([]string{"cgpt"}, args...), &bytes.Buffer{}, &errOut); code != 0 {
			t.Fatal(args, errOut.String())
		}
	}
	holds, other := filepath.Join(dir, "holds"), filepath.Join(dir, "other")
	for name, data := range map[string]string{holds: "the slot", other: "the Slot"} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeAt(t, one, "the slot", 8192*512+100)
	devices := []blockdev.Device{{Name: "dm-0", Path: one}, {Name: "vda", Path: one, SectorSize: 512}, {Name: "vda3", Path: one + "3", Disk: "vda", Partition: 3},
		{Name: "sr0", Path: filepath.Join(dir, "gone")}, {Name: "vdb", Path: blank}, {Name: "nvme0n1", Path: two, SectorSize: 512}}
	for _, c := range []struct{ args, want string }{
		{"-t flatcar-usr", one + "3\n" + one + "4\n"},
		{"-l USR-A", one + "3\n" + two + "p1\n"},
		{"-n -l USR-A", "3\n1\n"},
		{"-t flatcar-usr -l USR-B -1", one + "4\n"},
		{"-t flatcar-usr -1", "2 partitions match"},
		{"-t flatcar-resize", "0 partitions match"},
		{"-t flatcar-usr -M " + holds + " -O 100", one + "4\n"},
		{"-t flatcar-usr -M " + holds + " -O 0x64", one + "4\n"},
		{"-t flatcar-usr -M " + holds, "0 partitions match"},
		{"-t flatcar-usr -M " + other + " -O 100", "0 partitions match"},
		{"-t flatcar-usr -M " + holds + " -O 511999", "0 partitions match"},
		{"-t flatcar-usr -M " + holds + " -O 9223372036854775807", "0 partitions match"},
		{"-t flatcar-usr -M " + holds + " -O -1", "is no number of bytes"},
		{"-t flatcar-usr -M " + dir + "/gone", "no such file"},
		{"-t flatcar-usr " + two, "0 partitions match"},
	} {
		var out bytes.Buffer
		find := newCgptCommand("find", &out)
		find.devices = func() ([]blockdev.Device, error) { return devices, nil }
		find.declare()
		err := find.flags.Parse(find.apart(strings.Fields(c.args)))
		if err == nil {
			err = find.find()
		}
		if err == nil && out.String() != c.want || err != nil && (out.Len() > 0 || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %q, %v; want %q", c.args, out.String(), err, c.want)
		}
	}
}

func writeAt(t *testing.T, name, text string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), offset); err != nil {
		t.Fatal(err)
	}
}
