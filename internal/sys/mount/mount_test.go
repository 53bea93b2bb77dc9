//go:build linux

package mount

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		list  string
		flags uintptr
		data  string
	}{
		{"", 0, ""},
		{"rw", 0, ""},
		{"ro,rw", 0, ""},
		{"rw,ro", unix.MS_RDONLY, ""},
		{"defaults,noatime,commit=30,nodev,data=writeback", unix.MS_NOATIME | unix.MS_NODEV, "commit=30,data=writeback"},
		{"compress=zstd,,", 0, "compress=zstd"},
	} {
		flags, data := ParseOptions(c.list)
		if flags != c.flags || data != c.data {
			t.Errorf("ParseOptions(%q) = %#x, %q; want %#x, %q", c.list, flags, data, c.flags, c.data)
		}
	}
}

func TestString(t *testing.T) {
	for want, m := range map[string]Mount{
		"ext4 /dev/vda9 on /sysroot (nodev,commit=5)": {Source: "/dev/vda9", Target: "/sysroot", Type: "ext4", Flags: unix.MS_NODEV, Data: "commit=5"},
		"bind /usr on /sysroot/usr":                   Bind("/usr", "/sysroot/usr"),
	} {
		if got := m.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
