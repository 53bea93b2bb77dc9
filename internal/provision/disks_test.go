package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/probe"
)

const gib = 1 << 30

// fakeDisks are devices with contents; programs are recorded.
type fakeDisks struct {
	t       *testing.T
	disks   map[string]DiskFact
	content map[string]probe.Info
	answer  map[string]string // stdout by the start of a command
	refuse  map[string]error  // failure by the start of a command
	log     []string
}

func (f *fakeDisks) note(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *fakeDisks) Look(_ context.Context, device string) (DiskFact, error) {
	if d, ok := f.disks[device]; ok {
		return d, nil
	}
	if c, ok := f.content[device]; ok {
		return DiskFact{Device: device, Node: device, Content: c}, nil
	}
	return DiskFact{}, fmt.Errorf("the device %s did not appear within 1m0s", device)
}

func (f *fakeDisks) Find(_ context.Context, device string) (string, error) {
	_, disk := f.disks[device]
	_, other := f.content[device]
	if disk || other {
		return device, nil
	}
	return "", nil
}

func (f *fakeDisks) Resolve(_ context.Context, device string) (string, error) { return device, nil }

func (f *fakeDisks) Identify(_ context.Context, device string) (probe.Info, error) {
	return f.content[device], nil
}

func (f *fakeDisks) WriteTable(_ context.Context, device string, t gpt.Table) error {
	f.note("table %s %d", device, len(t.Partitions))
	return nil
}

func (f *fakeDisks) ClearTable(_ context.Context, device string) error {
	f.note("clear %s", device)
	return nil
}

func (f *fakeDisks) Wipe(_ context.Context, device string) error {
	f.note("wipe %s", device)
	return nil
}

func (f *fakeDisks) Mount(_ context.Context, device, dir, format string, options []string) error {
	f.note("mount %s %s %s %v", device, dir, format, options)
	return nil
}

func (f *fakeDisks) Unmount(_ context.Context, dir string) error {
	f.note("umount %s", dir)
	return nil
}

func (f *fakeDisks) Run(_ context.Context, name string, args ...string) ([]byte, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	f.note("%s", line)
	for start, err := range f.refuse {
		if strings.HasPrefix(line, start) {
			return nil, err
		}
	}
	for start, out := range f.answer {
		if strings.HasPrefix(line, start) {
			return []byte(out), nil
		}
	}
	return nil, nil
}

func (f *fakeDisks) Fetch(_ context.Context, r Request, _ io.Writer) error {
	f.note("fetch %s", r.URL)
	return nil
}

func (f *fakeDisks) Secret([]byte) (string, func(), error) { return "/secret", func() {}, nil }

// planned plans a config, whose errors and warnings come as lines.
func planned(t *testing.T, storage string, facts ...DiskFact) (Plan, []string) {
	t.Helper()
	c, report := Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"storage":`+storage+`}`), LoadOptions{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	f := DefaultFacts()
	f.Disks = facts
	p, err := c.Plan(f)
	var all Report
	if !errors.As(err, &all) {
		all = p.Warnings
	}
	var lines []string
	for _, problem := range all {
		lines = append(lines, string(problem.Severity)+" "+problem.Path+": "+problem.Message)
	}
	return p, lines
}

func summaries(p Plan, s Stage) (all []string) {
	for _, step := range p.Steps {
		if step.Stage == s {
			all = append(all, step.Describe())
		}
	}
	return all
}

const usual = `{
 "disks":[{"device":"/dev/vdb","wipeTable":true,"partitions":[{"label":"data","number":1,"sizeMiB":512},{"label":"rest"}]}],
 "filesystems":[{"device":"/dev/disk/by-partlabel/data","format":"ext4","label":"DATA","path":"/var/lib/data"},
  {"device":"/dev/vdb2","format":"xfs","path":"/srv"},{"device":"/dev/vda9","format":"btrfs","label":"ROOT","wipeFilesystem":true}]}`

func TestPlanForDisks(t *testing.T) {
	root := ImageDisk("/dev/vda", 10*gib)
	root.Partitions[6].Content = probe.Info{Type: "ext4", Label: "ROOT"}
	whole := DiskFact(root)
	whole.Device = "/dev/vda9"
	p, problems := planned(t, usual, root, BlankDisk("/dev/vdb", 2*gib))
	want := []string{
		"partition disk /dev/vdb (new table, create 1 data of 512 MiB, create 2 rest of 1534 MiB)",
		"make ext4 file system on /dev/disk/by-partlabel/data (label DATA)",
		"make xfs file system on /dev/vdb2",
		"make btrfs file system on /dev/vda9 (label ROOT, replaces an ext4 file system (label ROOT))",
	}
	if diff := cmp.Diff(want, summaries(p, StageDisks)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"warning storage.filesystems[2]: file system on /dev/vda9: /dev/vda9 holds an ext4 file system (label ROOT), which is overwritten"}, problems); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"mount file system /srv (xfs, /dev/vdb2)", "mount file system /var/lib/data (ext4, /dev/disk/by-partlabel/data)"}, summaries(p, StageMount)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"unmount file system /var/lib/data", "unmount file system /srv"}, summaries(p, StageUmount)); diff != "" {
		t.Error(diff)
	}
	a := p.Steps[0].Action.(*PartitionDisk)
	if diff := cmp.Diff([]PartitionState{{1, "data", "0fc63daf-8483-4772-8e79-3d69d8477de4", "", 1, 512}, {2, "rest", "0fc63daf-8483-4772-8e79-3d69d8477de4", "", 513, 1534}}, a.After); diff != "" {
		t.Error(diff)
	}
}

func TestOtherNamesOfDisks(t *testing.T) {
	p, problems := planned(t, `{"disks":[{"device":"/dev/disk/by-id/virtio-disk1","wipeTable":true,"partitions":[{"number":1}]}],
 "filesystems":[{"device":"/dev/disk/by-id/virtio-disk1-part1","format":"ext4"}]}`, VirtualDisks(8*gib, gib)...)
	want := []string{"partition disk /dev/disk/by-id/virtio-disk1 (new table, create 1 of 1022 MiB)", "make ext4 file system on /dev/disk/by-id/virtio-disk1-part1"}
	if diff := cmp.Diff(want, summaries(p, StageDisks)); diff != "" || len(problems) > 0 {
		t.Error(diff, problems)
	}
}

func TestImpossibleDisksAreToldBefore(t *testing.T) {
	busy := BlankDisk("/dev/vdb", gib)
	busy.Use = "mounted on /data"
	mbr := BlankDisk("/dev/vdb", gib)
	mbr.Content = probe.Info{Type: "dos", Usage: probe.Table}
	full := BlankDisk("/dev/vdb", gib)
	full.Content = probe.Info{Type: "xfs", Label: "old", UUID: "11111111-2222-3333-4444-555555555555"}
	one := `{"disks":[{"device":"/dev/vdb","partitions":[{"number":1,"sizeMiB":%d}]}]}`
	cases := map[string]struct {
		storage string
		fact    DiskFact
		want    string
	}{
		"too large":     {fmt.Sprintf(one, 5000), BlankDisk("/dev/vdb", gib), "error storage.disks[0].partitions[0].sizeMiB: disk /dev/vdb: partition 1 needs 5000 MiB, but the largest free block has 1022 MiB"},
		"in use":        {fmt.Sprintf(one, 5), busy, "error storage.disks[0].device: disk /dev/vdb: /dev/vdb is mounted on /data"},
		"MBR":           {fmt.Sprintf(one, 5), mbr, "error storage.disks[0].device: disk /dev/vdb: /dev/vdb has an MBR partition table"},
		"/usr":          {`{"disks":[{"device":"/dev/vda","partitions":[{"number":3,"shouldExist":false,"wipePartitionEntry":true}]}]}`, ImageDisk("/dev/vda", 8*gib), "error storage.disks[0].partitions[0]: disk /dev/vda: partition 3 cannot be changed: it is used by /dev/mapper/usr"},
		"system's disk": {`{"disks":[{"device":"/dev/vda","wipeTable":true}]}`, ImageDisk("/dev/vda", 8*gib), "error storage.disks[0].wipeTable: disk /dev/vda: partition 3 of /dev/vda is used by /dev/mapper/usr"},
		"other format":  {`{"filesystems":[{"device":"/dev/vdb","format":"ext4"}]}`, full, "error storage.filesystems[0].format: file system on /dev/vdb: /dev/vdb holds an xfs file system (label old), not ext4"},
		"other label":   {`{"filesystems":[{"device":"/dev/vdb","format":"xfs","label":"new"}]}`, full, "error storage.filesystems[0].label: file system on /dev/vdb: /dev/vdb holds an xfs file system (label old), not one labelled new"},
		"luks on data":  {`{"luks":[{"name":"x","device":"/dev/vdb"}]}`, full, "error storage.luks[0]: LUKS volume x: /dev/vdb holds an xfs file system (label old)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, got := planned(t, c.storage, c.fact); len(got) != 1 || got[0] != c.want {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestWhatIsLostIsTold(t *testing.T) {
	whole := BlankDisk("/dev/vdb", gib)
	whole.Content = probe.Info{Type: "xfs", Label: "old", Usage: probe.Filesystem}
	_, got := planned(t, `{"disks":[{"device":"/dev/vdb","partitions":[{"number":1}]}]}`, whole)
	if want := "warning storage.disks[0].device: disk /dev/vdb: /dev/vdb holds an xfs file system (label old), which the partitions overwrite"; len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
	_, got = planned(t, `{"disks":[{"device":"/dev/vda","partitions":[{"number":6,"label":"x","sizeMiB":5,"wipePartitionEntry":true}]}]}`, ImageDisk("/dev/vda", 8*gib))
	if want := "warning storage.disks[0].partitions[0]: disk /dev/vda: partition 6 of /dev/vda holds an ext4 file system (label OEM), which is lost"; len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
}

func TestPlanKeepsWhatIsAsWanted(t *testing.T) {
	d := BlankDisk("/dev/vdb", gib)
	d.Content = probe.Info{Type: "vfat", Label: "X", UUID: "A1B2-C3D4", Usage: probe.Filesystem}
	p, problems := planned(t, `{"filesystems":[{"device":"/dev/vdb","format":"vfat","label":"X","uuid":"A1B2-C3D4"}]}`, d)
	if got := summaries(p, StageDisks); len(problems) > 0 || len(got) != 1 || got[0] != "keep vfat file system on /dev/vdb (label X, uuid a1b2c3d4)" {
		t.Error(got, problems)
	}
}

// What an earlier table left where a new partition begins shows again.
func TestPlanKnowsWhatLiesBelowANewPartition(t *testing.T) {
	d := BlankDisk("/dev/vdb", gib)
	d.Content = probe.Info{Type: "gpt", Usage: probe.Table, UUID: "x"}
	d.Peek = func(start, size int64) (probe.Info, error) {
		if start != 1<<20 || size != 64<<20 {
			t.Errorf("asked for %d+%d", start, size)
		}
		return probe.Info{Type: "swap", Usage: probe.Other}, nil
	}
	const config = `{"disks":[{"device":"/dev/vdb","wipeTable":true,"partitions":[{"number":1,"sizeMiB":64}]}],"filesystems":[{"device":"/dev/vdb1","format":%q}]}`
	_, problems := planned(t, fmt.Sprintf(config, "ext4"), d)
	if want := []string{"error storage.filesystems[0].format: file system on /dev/vdb1: /dev/vdb1 holds swap space, not ext4"}; !slices.Equal(problems, want) {
		t.Error(problems)
	}
	p, problems := planned(t, fmt.Sprintf(config, "swap"), d)
	if got := summaries(p, StageDisks); len(problems) > 0 || got[1] != "keep swap space on /dev/vdb1" {
		t.Error(got, problems)
	}
}

func TestPartitionsThatNoDiskHas(t *testing.T) {
	const storage = `{"disks":[{"device":"/dev/vdb","partitions":[{"label":"x","number":200,"sizeMiB":5}]}]}`
	for _, facts := range [][]DiskFact{nil, VirtualDisks(8*gib, gib)} {
		_, got := planned(t, storage, facts...)
		if want := "error storage.disks[0].partitions[0].number: disk /dev/vdb: partition 200 (x) has a number that no table has"; len(got) != 1 || got[0] != want {
			t.Errorf("%q", got)
		}
	}
}

func TestUnknownDisksArePlannedWithoutDetails(t *testing.T) {
	p, problems := planned(t, usual)
	if got := summaries(p, StageDisks)[0]; len(problems) > 0 || got != "partition disk /dev/vdb (new table, 2 entries, depends on the disk)" {
		t.Error(got, problems)
	}
}

// applied takes the steps of the disks stage.
func applied(t *testing.T, f *fakeDisks, storage string) error {
	t.Helper()
	p, problems := planned(t, storage)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return ApplyStages(t.Context(), p, Target{Disks: f, State: &State{}, Fetch: f}, StageDisks)
}

func TestCommands(t *testing.T) {
	f := &fakeDisks{t: t, content: map[string]probe.Info{}}
	err := applied(t, f, `{
 "raid":[{"name":"arr","level":"raid1","devices":["/dev/vdb","/dev/vdc","/dev/vdd"],"spares":1,"options":["--bitmap=none"]}],
 "luks":[{"name":"a","device":"/dev/vde","label":"L","options":["--pbkdf","pbkdf2"],"discard":true,"openOptions":["--perf-no_read_workqueue"]},
  {"name":"b","device":"/dev/vdf","clevis":{"tpm2":true,"tang":[{"url":"http://tang","thumbprint":"x"}],"threshold":2}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"mdadm --create arr --force --run --homehost any --level raid1 --raid-devices 2 --spare-devices 1 --bitmap=none /dev/vdb /dev/vdc /dev/vdd",
		"wipe /dev/vde",
		"cryptsetup luksFormat --batch-mode --type luks2 --key-file /secret --label L --pbkdf pbkdf2 /dev/vde",
		"cryptsetup luksOpen /dev/vde a --key-file /secret --persistent --allow-discards --perf-no_read_workqueue",
		"wipe /dev/vdf",
		"cryptsetup luksFormat --batch-mode --type luks2 --key-file /secret /dev/vdf",
		"cryptsetup luksOpen /dev/vdf b --key-file /secret --persistent",
		"fetch http://tang/adv",
		`clevis luks bind -f -k /secret -d /dev/vdf sss {"pins":{"tang":[{"url":"http://tang","thp":"x"}],"tpm2":{}},"t":2}`,
		"cryptsetup luksClose b",
		"clevis luks unlock -d /dev/vdf -n b",
		"cryptsetup luksRemoveKey /dev/vdf /secret",
	}
	if diff := cmp.Diff(want, f.log); diff != "" {
		t.Error(diff)
	}
}

func TestMkfsCommands(t *testing.T) {
	label := "L"
	for format, want := range map[string]string{
		"ext4": "-O x -F -U u-u -L L /dev/x", "btrfs": "-O x --force -U u-u -L L /dev/x", "xfs": "-O x -f -m uuid=u-u -L L /dev/x",
		"swap": "-O x -f -U u-u -L L /dev/x", "vfat": "-O x -i uu -n L /dev/x",
	} {
		a := &MakeFilesystem{Format: format, Label: &label, UUID: canonicalUUID(format, "U-U"), Options: []string{"-O", "x"}}
		if got := strings.Join(a.command("/dev/x"), " "); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
}

func TestFilesystemsThatAreThere(t *testing.T) {
	cases := map[string]struct {
		fs   string
		has  probe.Info
		log  string
		fail string
	}{
		"blank":         {`"format":"ext4"`, probe.Info{}, "wipe /dev/vdb; mkfs.ext4 -F /dev/vdb", ""},
		"reused":        {`"format":"ext4"`, probe.Info{Type: "ext4", Label: "a"}, "", ""},
		"wiped":         {`"format":"ext4","wipeFilesystem":true`, probe.Info{Type: "ext4", Label: "a"}, "wipe /dev/vdb; mkfs.ext4 -F /dev/vdb", ""},
		"other":         {`"format":"ext4"`, probe.Info{Type: "xfs"}, "", "c.ign:1:59: cannot make ext4 file system on /dev/vdb: /dev/vdb holds an xfs file system, not ext4; set wipe_filesystem to replace it"},
		"none":          {`"format":"none"`, probe.Info{}, "", ""},
		"none on other": {`"format":"none"`, probe.Info{Type: "xfs"}, "", "c.ign:1:59: cannot empty device /dev/vdb: /dev/vdb holds an xfs file system, not nothing; set wipe_filesystem to replace it"},
		"none, wiped":   {`"format":"none","wipeFilesystem":true`, probe.Info{Type: "xfs"}, "wipe /dev/vdb", ""},
		"OEM":           {`"format":"btrfs"`, probe.Info{Type: "ext4", Label: "OEM"}, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := &fakeDisks{t: t, content: map[string]probe.Info{"/dev/vdb": c.has}}
			got := ""
			if err := applied(t, f, `{"filesystems":[{"device":"/dev/vdb",`+c.fs+`}]}`); err != nil {
				got = err.Error()
			}
			if got != c.fail || strings.Join(f.log, "; ") != c.log {
				t.Errorf("%q, %q; want %q, %q", got, f.log, c.fail, c.log)
			}
		})
	}
}

func TestAllFailuresOfFilesystemsAreReported(t *testing.T) {
	f := &fakeDisks{t: t, content: map[string]probe.Info{"/dev/vdb": {Type: "xfs"}, "/dev/vdc": {Type: "swap"}}}
	err := applied(t, f, `{"filesystems":[{"device":"/dev/vdb","format":"ext4"},{"device":"/dev/vdc","format":"ext4"}]}`)
	var step *StepError
	if !errors.As(err, &step) || !strings.Contains(err.Error(), "/dev/vdb holds") || !strings.Contains(err.Error(), "/dev/vdc holds") {
		t.Error(err)
	}
}

func TestVolumesAreReusedOrRefused(t *testing.T) {
	there := probe.Info{Type: "crypto_LUKS", Label: "L", UUID: "u"}
	withKey := `"keyFile":{"source":"data:,key"}`
	cases := map[string]struct {
		luks   string
		answer string
		fail   string
	}{
		"reused":     {withKey, "Flags: (no flags)", ""},
		"no key":     {`"label":"L"`, "", "cannot be opened without a key_file"},
		"label":      {withKey + `,"label":"other"`, "", `labelled "L", not "other"`},
		"discard":    {withKey + `,"discard":true`, "Flags: (no flags)", "whose discard flag is false, not true"},
		"no discard": {withKey, "Flags: allow-discards", "whose discard flag is true, not false"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := &fakeDisks{t: t, content: map[string]probe.Info{"/dev/vdb": there}, answer: map[string]string{"cryptsetup luksDump": c.answer}}
			err := applied(t, f, `{"luks":[{"name":"x","device":"/dev/vdb",`+c.luks+`}]}`)
			if c.fail == "" && (err != nil || f.log[len(f.log)-1] != "cryptsetup luksOpen /dev/vdb x --key-file /secret --persistent") {
				t.Error(err, f.log)
			}
			if c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)) {
				t.Errorf("%v, want %s", err, c.fail)
			}
		})
	}
}

func TestPartitionsAreDecidedOnTheDiskAsItIs(t *testing.T) {
	f := &fakeDisks{t: t, disks: map[string]DiskFact{"/dev/vdb": BlankDisk("/dev/vdb", gib), "/dev/vdc": BlankDisk("/dev/vdc", gib)}}
	if err := applied(t, f, `{"disks":[{"device":"/dev/vdb","partitions":[{"number":1}]},{"device":"/dev/vdc","wipeTable":true}]}`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"table /dev/vdb 1", "clear /dev/vdc"}, f.log); diff != "" {
		t.Error(diff)
	}
	err := applied(t, f, `{"disks":[{"device":"/dev/vdb","partitions":[{"number":1,"sizeMiB":9000}]}]}`)
	if want := "c.ign:1:110: cannot partition disk /dev/vdb: partition 1 needs 9000 MiB, but the largest free block has 1022 MiB; make it smaller, make room by deleting a partition, or take a larger disk"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestLookAtDisks(t *testing.T) {
	f := &fakeDisks{t: t, disks: map[string]DiskFact{"/dev/vdb": BlankDisk("/dev/vdb", gib)}, content: map[string]probe.Info{"/dev/vdc": {Type: "xfs"}}}
	c, report := Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"storage":{"disks":[{"device":"/dev/vdb"}],"filesystems":[{"device":"/dev/vdc","format":"ext4"},{"device":"/dev/vdb1","format":"ext4"}]}}`), LoadOptions{})
	if report.Err() != nil {
		t.Fatal(report)
	}
	facts, err := LookAtDisks(t.Context(), c, f)
	if err != nil || len(facts) != 2 || facts[1].Content.Type != "xfs" {
		t.Errorf("%+v, %v", facts, err)
	}
	delete(f.disks, "/dev/vdb")
	if _, err := LookAtDisks(t.Context(), c, f); err == nil || !strings.HasPrefix(err.Error(), "c.ign:1:63: disk /dev/vdb: the device /dev/vdb did not appear") {
		t.Error(err)
	}
	if facts := GlanceAtDisks(t.Context(), c, f); len(facts) != 1 || facts[0].Content.Type != "xfs" {
		t.Errorf("at a glance: %+v", facts)
	}
}

func TestKernelChange(t *testing.T) {
	c, report := Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"kernelArguments":{"shouldExist":["a=1"],"shouldNotExist":["quiet","b"]}}`), LoadOptions{})
	if report.Err() != nil {
		t.Fatal(report)
	}
	for line, want := range map[string]bool{"quiet a=1": false, "quiet": true, "quiet a=1 b": true, "a=1": false} {
		if at := c.KernelChange(line, "quiet"); (at != nil) != want {
			t.Errorf("%q: %v", line, at)
		}
	}
}
