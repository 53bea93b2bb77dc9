package build_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/hermetic/tooltest"
	"wellcar.dev/test/disk"
)

// parts are the pieces of an image as files of their own.
type parts struct {
	record image.Record
	usr    string
	esp    string
	oem    string
}

// reference lets the tools that others use look at a build.
func reference(t *testing.T, dir string) {
	p := cut(t, dir)
	size := strconv.FormatInt(p.record.Usr.DataSize, 10)
	for _, c := range []struct {
		name string
		args []string
		want []string // in the output
		deny []string
	}{
		{"sgdisk", []string{"--verify", filepath.Join(dir, image.DiskFile)}, []string{"No problems found"}, []string{"Warning", "Caution"}},
		{"fsck.erofs", []string{"-d3", "--extract", p.usr}, []string{"No errors found"}, nil},
		{"dump.erofs", []string{"-s", p.usr}, []string{"Filesystem blocksize:", "4096", "Filesystem UUID:"}, nil},
		{"dump.erofs", []string{"--path=/lib/os-release", p.usr}, []string{"Path : /lib/os-release", "regular file"}, nil},
		{"veritysetup", []string{"verify", p.usr, p.usr, p.record.RootHash, "--hash-offset=" + size}, nil, []string{"failed"}},
		{"veritysetup", []string{"dump", p.usr, "--hash-offset=" + size}, []string{"Hash algorithm:  \tsha256", "Data block size: \t4096"}, nil},
		{"fsck.fat", []string{"-n", "-v", p.esp}, []string{"files,"}, []string{"differences", "Orphaned", "Reclaimed", "Wrong"}},
		{"e2fsck", []string{"-f", "-n", p.oem}, []string{"OEM: "}, []string{"Fix?", "WARNING"}},
		{"objdump", []string{"-h", filepath.Join(dir, image.UKIFile)}, []string{"pei-x86-64", " .linux ", " .initrd ", " .cmdline ", " .osrel ", " .uname "}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { accept(t, c.name, c.args, c.want, c.deny) })
	}
}

// accept runs a tool, which must succeed and say and not say some things.
func accept(t *testing.T, name string, args, want, deny []string) {
	t.Helper()
	out, err := tooltest.Command(t, name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	for _, text := range want {
		if !strings.Contains(string(out), text) {
			t.Errorf("%s does not say %q:\n%s", name, text, out)
		}
	}
	for _, text := range deny {
		if strings.Contains(string(out), text) {
			t.Errorf("%s says %q:\n%s", name, text, out)
		}
	}
}

func cut(t *testing.T, dir string) parts {
	t.Helper()
	record, err := image.ReadRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	name, to := filepath.Join(dir, image.DiskFile), t.TempDir()
	p := parts{record: record, usr: filepath.Join(to, "usr"), esp: filepath.Join(to, "esp"), oem: filepath.Join(to, "oem")}
	table, err := disk.Table(name)
	if err != nil {
		t.Fatal(err)
	}
	for number, file := range map[int]string{layout.UsrA: p.usr, layout.ESP: p.esp, layout.OEM: p.oem} {
		at, size, err := disk.Place(table, number)
		if err != nil {
			t.Fatal(err)
		}
		if number == layout.UsrA && at != record.Usr.Offset {
			t.Errorf("USR-A is at %d, %s says %d", at, image.BuildFile, record.Usr.Offset)
		}
		if err := disk.CopyRange(file, name, at, size); err != nil {
			t.Fatal(err)
		}
	}
	return p
}
