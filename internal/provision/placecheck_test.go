package provision

import (
	"strings"
	"testing"
)

// TestPlaces writes to places that cannot keep it, also through the links of
// every root.
func TestPlaces(t *testing.T) {
	file := func(path string) string { return `{"files":[{"path":"` + path + `"}]}` }
	const readOnly, over = "/usr is read-only on the machine", "/run is mounted over when the system starts"
	for storage, want := range map[string]string{
		file("/usr/x"): readOnly, file("/bin/x"): readOnly, file("/sbin/x"): readOnly, file("/lib/modules/x"): readOnly, file("/lib64/x"): readOnly,
		file("/run/x"): over, file("/var/run/x"): over, file("/var/lock/x"): over,
		file("/"):                        "this is the root directory",
		file(`/a\u0000b`):                "the path has a NUL character",
		file("/libexec/x"):               "",
		file("/var/running"):             "",
		file("/oem/x"):                   "",
		file("/usr/share/oem/x"):         "",
		`{"directories":[{"path":"/"}]}`: "",
		`{"links":[{"path":"/a","target":"b\u0000"}]}`:                                                              "the target has a NUL character",
		`{"filesystems":[{"device":"/dev/vdb","format":"ext4","path":"/lib/x"}]}`:                                   "/lib is a link, and a mount point must not be below one",
		`{"filesystems":[{"device":"/dev/vdb","format":"ext4","path":"/usr/src"}],"files":[{"path":"/usr/src/x"}]}`: "",
	} {
		_, got := planned(t, storage)
		if all := strings.Join(got, "\n"); len(got) > 1 || (all == "") != (want == "") || !strings.Contains(all, want) {
			t.Errorf("%s: got %q, want %q", storage, got, want)
		}
	}
}
