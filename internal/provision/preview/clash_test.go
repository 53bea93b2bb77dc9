package preview_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/preview"
)

const clashContents = `d 0755 0:0 0 - src	x
d 0755 0:0 0 - share/flatcar/etc/flatcar	x
f 0644 0:0 1 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 share/flatcar/etc/flatcar/update.conf	x
f 0644 0:0 1 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 share/flatcar/etc/hosts	x
l 0777 0:0 0 - share/flatcar/etc/coreos -> flatcar	x
l 0777 0:0 0 - share/flatcar/etc/localtime -> ../usr/share/zoneinfo/UTC	x
l 0777 0:0 0 - share/flatcar/etc/motd -> ../run/motd	x
`

func mount(at string) string {
	return `{"filesystems":[{"device":"/dev/vdb","format":"ext4","path":"` + at + `"}]}`
}

func storage(text string) string {
	return `{"ignition":{"version":"3.4.0"},"storage":` + text + `}`
}

// TestClashes holds the plan to what the files stage says of each node when
// the image has something at its path.
func TestClashes(t *testing.T) {
	known, err := preview.ReadImage(strings.NewReader(clashContents))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		storage, want string
		image         *preview.Image
	}{
		{`{"files":[{"path":"/etc/hosts","contents":{"source":"data:,x"}},{"path":"/opt/x"}]}`, "", known},
		{`{"files":[{"path":"/etc/hosts"}]}`, "", known},
		{`{"files":[{"path":"/etc/hosts","overwrite":true,"contents":{"source":"data:,y"}}]}`, "", known},
		{`{"files":[{"path":"/etc/hosts","contents":{"source":"data:,y"}}]}`, "error: file /etc/hosts: in the image there is a file with other contents already", known},
		{`{"files":[{"path":"/etc/coreos/update.conf","contents":{"source":"data:,y"}}]}`, "error: file /etc/coreos/update.conf: in the image there is a file with other contents already", known},
		{`{"files":[{"path":"/etc/hosts","contents":{"source":"https://h/x","verification":{"hash":"sha256-2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}}}]}`, "", known},
		{`{"files":[{"path":"/etc/hosts","contents":{"source":"https://h/x"}}]}`, "warning: file /etc/hosts: in the image there is a file already, and the boot stops if its contents are others", known},
		{`{"files":[{"path":"/etc/motd"}]}`, "error: file /etc/motd: in the image there is a link already", known},
		{`{"files":[{"path":"/etc/flatcar"}]}`, "error: file /etc/flatcar: in the image there is a directory already", known},
		{`{"directories":[{"path":"/etc/flatcar"}]}`, "", known},
		{`{"directories":[{"path":"/etc/hosts"}]}`, "error: directory /etc/hosts: in the image there is a file already", known},
		{mount("/etc/coreos/x"), "error: file system /etc/coreos/x: in the image /etc/coreos is a link, and a mount point must not be below one", known},
		{mount("/usr/x"), "error: file system /usr/x: /usr is read-only, and the image has no folder /usr/x", known},
		{mount("/usr/src"), "", known},
		{mount("/srv/x"), "", known},
		{mount("/usr/src"), "warning: file system /usr/src: /usr is read-only, so the image must have this folder", nil},
		{`{"links":[{"path":"/etc/localtime","target":"../usr/share/zoneinfo/UTC"}]}`, "", known},
		{`{"links":[{"path":"/etc/localtime","target":"/x"}]}`, "error: link /etc/localtime: in the image there is a link to ../usr/share/zoneinfo/UTC already", known},
		{`{"links":[{"path":"/etc/localtime","target":"/x","overwrite":true}]}`, "", known},
		{`{"files":[{"path":"/etc/coreos/a"},{"path":"/etc/flatcar/a"}]}`,
			"error: file /etc/flatcar/a: through links it is the same path as /etc/coreos/a (c.ign:1:53), /etc/flatcar/a", known},
		{`{"links":[{"path":"/etc/localtime","target":"/x"}]}`, "warning: link /etc/localtime: images have a link there, and the boot stops if it is not the same", nil},
		{`{"files":[{"path":"/etc/hosts"},{"path":"/opt/hosts","contents":{"source":"data:,y"}}]}`, "", nil},
	} {
		p := make(t, storage(c.storage), preview.Options{Image: c.image})
		got := ""
		for _, found := range append(p.Problems, p.Warnings...) {
			if strings.Contains(found.Remedy, "overwrite") || strings.Contains(found.Message, "file system") || strings.Contains(found.Message, "through links") {
				got += string(found.Severity) + ": " + found.Message
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s\n%s", c.storage, diff)
		}
		if len(p.Replaced) > 0 != (strings.Contains(c.storage, "overwrite") && c.image != nil) {
			t.Errorf("%s: replaced are %v", c.storage, p.Replaced)
		}
	}
}

// TestWipesOfUnknownDisks warns of what may be lost on each disk that is not
// described, also if others are.
func TestWipesOfUnknownDisks(t *testing.T) {
	c, report := provision.Load("c.ign", []byte(storage(`{"disks":[{"device":"/dev/vdb","wipeTable":true},{"device":"/dev/sdb","wipeTable":true,"partitions":[{"number":1}]}],
"filesystems":[{"device":"/dev/sdb1","format":"ext4","wipeFilesystem":true},{"device":"/dev/vda9","format":"ext4","wipeFilesystem":true}]}`)), provision.LoadOptions{})
	facts := provision.DefaultFacts()
	facts.Disks = provision.VirtualDisks(8<<30, 1<<30)
	plan, err := c.Plan(facts)
	if report.Err() != nil || err != nil {
		t.Fatal(report, err)
	}
	var got []string
	for _, w := range preview.Make(c, plan, preview.Options{}).Warnings {
		if strings.Contains(w.Message, "lost") || strings.Contains(w.Message, "not there") {
			got = append(got, w.Message)
		}
	}
	want := []string{"disk /dev/sdb: all its partitions and what is on them are lost", "file system on /dev/sdb1: what is there is lost"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestReboots has none where the kernel's words are as wanted already.
func TestReboots(t *testing.T) {
	for _, c := range []struct {
		kernel, line string
		want         int
	}{
		{`"shouldExist":["quiet"]`, "", 1}, {`"shouldExist":["quiet"]`, "ro quiet", 0}, {`"shouldExist":["quiet","x=1"]`, "ro quiet", 1},
		{`"shouldNotExist":["quiet"]`, "", 0}, {`"shouldNotExist":["quiet"]`, "ro", 0}, {`"shouldNotExist":["quiet"]`, "ro quiet", 0},
	} {
		p := make(t, `{"ignition":{"version":"3.4.0"},"kernelArguments":{`+c.kernel+`}}`, preview.Options{Kernel: c.line})
		if len(p.Reboots) != c.want {
			t.Errorf("%s on %q: %v", c.kernel, c.line, p.Reboots)
		}
	}
}
