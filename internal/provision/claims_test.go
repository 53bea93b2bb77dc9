package provision

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var column = regexp.MustCompile(`c\.ign:1:[0-9]+\)`)

// TestDevicesAreTakenOnce plans what would fail half-way, and what only looks
// like it, without facts and with the disks described.
func TestDevicesAreTakenOnce(t *testing.T) {
	const parts = `"disks":[{"device":"/dev/vdb","wipeTable":true,"partitions":[{"number":1,"label":"a","sizeMiB":100},{"number":2,"label":"b","sizeMiB":100}]}]`
	raid := func(level, devices, more string) string {
		return `{` + parts + `,"raid":[{"name":"r","level":"` + level + `","devices":[` + devices + `]` + more + `}]}`
	}
	for name, c := range map[string]struct{ storage, want string }{
		"two volumes":         {`{"luks":[{"name":"a","device":"/dev/vdb"},{"name":"b","device":"/dev/vdb"}]}`, "error storage.luks[1].device: LUKS volume b: /dev/vdb is encrypted as LUKS volume a (c.ign:1)"},
		"two names of one":    {`{` + parts + `,"luks":[{"name":"a","device":"/dev/vdb1"},{"name":"b","device":"/dev/disk/by-partlabel/a"}]}`, "error storage.luks[1].device: LUKS volume b: /dev/disk/by-partlabel/a is encrypted as LUKS volume a (c.ign:1)"},
		"two arrays":          {`{"raid":[{"name":"r","level":"raid0","devices":["/dev/vdb"]},{"name":"s","level":"raid0","devices":["/dev/vdb"]}]}`, "error storage.raid[1].devices[0]: RAID array s: /dev/vdb is a member of RAID array r (c.ign:1)"},
		"twice in an array":   {raid("raid1", `"/dev/vdb1","/dev/disk/by-partlabel/a"`, ""), "error storage.raid[0].devices[1]: RAID array r: /dev/disk/by-partlabel/a is a member of RAID array r (c.ign:1)"},
		"the partitioned":     {raid("raid0", `"/dev/vdb"`, ""), "error storage.raid[0].devices[0]: RAID array r: /dev/vdb is partitioned (c.ign:1)"},
		"below a volume":      {`{"luks":[{"name":"a","device":"/dev/vdb"}],"filesystems":[{"device":"/dev/vdb","format":"ext4"}]}`, "error storage.filesystems[0].device: file system on /dev/vdb: /dev/vdb is encrypted as LUKS volume a (c.ign:1)"},
		"raid5 of one":        {raid("raid5", `"/dev/vdb1"`, ""), "error storage.raid[0].devices: RAID array r: 1 of the 1 devices are not spares, and an array of level raid5 needs 2"},
		"raid6 of two":        {raid("raid6", `"/dev/vdb1","/dev/vdb2"`, ""), "error storage.raid[0].devices: RAID array r: 2 of the 2 devices are not spares, and an array of level raid6 needs 4"},
		"only spares":         {raid("raid1", `"/dev/vdb1","/dev/vdb2"`, `,"spares":2`), "error storage.raid[0].devices: RAID array r: 0 of the 2 devices are not spares, and an array of level raid1 needs 1"},
		"fewer than none":     {raid("raid1", `"/dev/vdb1","/dev/vdb2"`, `,"spares":-1`), "error storage.raid[0].spares: RAID array r: -1 is no number of spares"},
		"a space":             {`{"luks":[{"name":"a b","device":"/dev/vdb"}]}`, "error storage.luks[0].name: LUKS volume a b: the name has white space, at which /etc/crypttab would end it"},
		"raid1 of one":        {raid("raid1", `"/dev/vdb1"`, ""), ""},
		"a spare":             {raid("raid1", `"/dev/vdb1","/dev/vdb2"`, `,"spares":1`), ""},
		"counted by options":  {raid("raid6", `"/dev/vdb1","/dev/vdb2"`, `,"options":["--raid-devices=4"]`), ""},
		"volume on an array":  {`{"raid":[{"name":"r","level":"raid0","devices":["/dev/vdb"]}],"luks":[{"name":"a","device":"/dev/md/r"}],"filesystems":[{"device":"/dev/mapper/a","format":"ext4"}]}`, ""},
		"whole, wiped":        {`{"disks":[{"device":"/dev/vdb","wipeTable":true}],"luks":[{"name":"a","device":"/dev/vdb"}]}`, ""},
		"two mounts of btrfs": {`{` + parts + `,"filesystems":[{"device":"/dev/vdb1","format":"btrfs","path":"/a"},{"device":"/dev/disk/by-partlabel/a","format":"btrfs","path":"/b"}]}`, ""},
	} {
		for _, facts := range [][]DiskFact{nil, VirtualDisks(8*gib, gib)} {
			_, got := planned(t, c.storage, facts...)
			for i := range got {
				got[i] = column.ReplaceAllString(got[i], "c.ign:1)")
			}
			want := []string{c.want}
			if c.want == "" {
				want = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %d disks known:\n%s", name, len(facts), diff)
			}
		}
	}
}

// TestUnknownDevices warns of names that nothing makes, and of no others.
func TestUnknownDevices(t *testing.T) {
	const mapper = "/dev/mapper/x is no LUKS volume of this config, and the image has no such device"
	const label = "no partition of this config or the image has the label x, so it must be on the machine already"
	const node = "/dev/vdz1 is not there yet, and nothing in the config makes it"
	disk := func(part, device string) string {
		return `{"disks":[{"device":"/dev/vdz","partitions":[` + part + `]}],"luks":[{"name":"y","device":"/dev/disk/by-id/z"}],"filesystems":[{"device":"` + device + `","format":"ext4"}]}`
	}
	for name, c := range map[string]struct{ storage, want, known string }{
		"mapper":         {disk(`{"number":1}`, "/dev/mapper/x"), mapper, mapper},
		"own volume":     {disk(`{"number":1}`, "/dev/mapper/y"), "", ""},
		"label":          {disk(`{"number":1}`, "/dev/disk/by-partlabel/x"), label, label},
		"own label":      {disk(`{"label":"x"}`, "/dev/disk/by-partlabel/x"), "", ""},
		"image's label":  {disk(`{"number":1}`, "/dev/disk/by-partlabel/ROOT"), "", ""},
		"own number":     {disk(`{"number":1}`, "/dev/vdz1"), "", ""},
		"without number": {disk(`{"label":"x"}`, "/dev/vdz1"), "", ""},
		"other disk":     {`{"filesystems":[{"device":"/dev/vdz1","format":"ext4"}]}`, "", node},
		"in an array":    {`{"raid":[{"name":"r","level":"raid0","devices":["/dev/vdz1"]}]}`, "", node},
		"any id":         {disk(`{"number":1}`, "/dev/disk/by-id/q"), "", ""},
	} {
		for _, facts := range [][]DiskFact{nil, VirtualDisks(8*gib, gib)} {
			want := c.want
			if facts != nil {
				want = c.known
			}
			_, got := planned(t, c.storage, facts...)
			got = slices.DeleteFunc(got, func(l string) bool { return strings.Contains(l, "nothing is known of this disk") })
			if len(got) > 1 || (len(got) == 1) != (want != "") || !strings.Contains(strings.Join(got, ""), want) {
				t.Errorf("%s, %d disks known: got %q, want %q", name, len(facts), got, want)
			}
		}
	}
}
