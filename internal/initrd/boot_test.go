//go:build linux

package initrd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wellcar.dev/internal/bootargs"
	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/report"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/console"
	"wellcar.dev/internal/sys/dm"
	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
	"wellcar.dev/internal/sys/uevent"
)

// fake is a machine with one disk, an image as it is shipped, in a file.
type fake struct {
	*testing.T
	root  string
	disk  string // file
	size  int64
	hash  [32]byte
	ready bool // the disk's driver is loaded

	status  int    // of provisioning
	output  string // of provisioning
	rescued bool   // the shell was started
	// keeper is the program of the network, for its first argument.
	keeper func(ctx context.Context, line func(string), verb string) (int, error)

	mu   sync.Mutex
	done []string // what was done, in order
	logs []string
	page []string // of a failure
}

// ended stops a boot where the real machine would not return.
type ended struct{ how string }

func newFake(t *testing.T, words string) *fake { return newFakeWith(t, words, nil) }

// newFakeWith has an add-on of the kernel too, unless it is nil.
func newFakeWith(t *testing.T, words string, addOn []byte) *fake {
	f := &fake{T: t, root: t.TempDir(), size: 60 << 20}
	f.disk = filepath.Join(t.TempDir(), "disk")
	f.makeDisk(addOn)
	put(t, f.root, map[string]string{
		"modules.list":                         "virtio_blk:\next4:\nvfat:\n[always]\next4\n[alias]\nvirtio:d2 virtio_blk\n",
		"proc/cmdline":                         fmt.Sprintf("usrhash=%x %s\n", f.hash, words),
		"run/wellcar/":                         "",
		"sysroot/usr/share/flatcar/etc/passwd": "shipped",
	})
	return f
}

func (f *fake) makeDisk(addOn []byte) {
	w, err := os.Create(f.disk)
	f.must(err)
	defer w.Close()
	f.must(w.Truncate(f.size))
	table := testTable(53 * mebi)
	f.must(table.Write(w))
	at := func(number int) io.WriterAt {
		p, _ := table.Partition(number)
		return io.NewOffsetWriter(w, int64(p.First)*512)
	}
	esp := fstree.New()
	f.must(esp.Put(fstree.Node{Path: layout.FirstBootFlags[0], Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob([]byte("1"))}))
	if addOn != nil {
		f.must(esp.Put(fstree.Node{Path: layout.KernelAddOn, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(addOn)}))
	}
	f.must(fat.Write(at(1), 40<<20, fat.Options{Label: "EFI-SYSTEM"}, esp))
	f.writeUsr(w, int64(44*mebi)*512) // slot B
	f.writeExt4(at(6), "OEM")
}

// writeUsr writes an image as the builder does: the superblock's UUID is that
// of the root hash.
func (f *fake) writeUsr(w *os.File, at int64) {
	data := filepath.Join(f.T.TempDir(), "usr")
	img, err := os.Create(data)
	f.must(err)
	defer img.Close()
	_, err = erofs.Write(img, fstree.New(), erofs.Options{})
	f.must(err)
	info, err := img.Stat()
	f.must(err)
	tree, err := verity.Append(img, 0, info.Size(), verity.Params{UUID: layout.VerityUUID})
	f.must(err)
	f.hash = tree.RootHash
	all, err := os.ReadFile(data)
	f.must(err)
	_, err = w.WriteAt(all, at)
	f.must(err)
}

func (f *fake) writeExt4(w io.WriterAt, label string) {
	sb := make([]byte, 1024)
	binary.LittleEndian.PutUint32(sb[0x4:], 4<<20/4096)
	binary.LittleEndian.PutUint32(sb[0x18:], 2)
	binary.LittleEndian.PutUint16(sb[0x38:], 0xef53)
	binary.LittleEndian.PutUint16(sb[0x3a:], 1)
	binary.LittleEndian.PutUint32(sb[0x4c:], 1)
	binary.LittleEndian.PutUint32(sb[0x5c:], 4)    // journal
	binary.LittleEndian.PutUint32(sb[0x60:], 0x40) // extents
	copy(sb[0x78:], label)
	_, err := w.WriteAt(sb, 1024)
	f.must(err)
}

func (f *fake) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fake) did(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, fmt.Sprintf(format, args...))
}

func (f *fake) log(level kmsg.Level, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func (f *fake) show(_ context.Context, page func(console.Size) []string) error {
	f.page = page(console.Size{Width: 80})
	return nil
}

// table is what is on the disk now.
func (f *fake) table() gpt.Table {
	r, err := os.Open(f.disk)
	f.must(err)
	defer r.Close()
	t, _, err := gpt.Read(r, f.size, 512)
	f.must(err)
	return t
}

func (f *fake) devices() ([]blockdev.Device, error) {
	if !f.ready {
		return nil, nil
	}
	all := []blockdev.Device{{Name: "vda", Path: "/dev/vda", Size: f.size, SectorSize: 512}}
	for _, p := range f.table().Partitions {
		name := fmt.Sprintf("vda%d", p.Number)
		all = append(all, blockdev.Device{Name: name, Path: "/dev/" + name, Disk: "vda", Partition: p.Number,
			PartName: p.Name, Size: int64(p.Sectors()) * 512, SectorSize: 512})
	}
	return all, nil
}

// part is an open window of the disk's file.
type part struct {
	*io.SectionReader
	io.WriterAt
	io.Closer
}

func (f *fake) open(path string) (Device, error) {
	file, err := os.OpenFile(f.disk, os.O_RDWR, 0)
	f.must(err)
	first, size := int64(0), f.size
	for _, p := range f.table().Partitions {
		if path == fmt.Sprintf("/dev/vda%d", p.Number) {
			first, size = int64(p.First)*512, int64(p.Sectors())*512
		}
	}
	return part{io.NewSectionReader(file, first, size), io.NewOffsetWriter(file, first), file}, nil
}

func (f *fake) run(ctx context.Context, line func(string), name string, args ...string) (int, error) {
	f.did("%s %s", filepath.Base(name), strings.Join(args, " "))
	switch filepath.Base(name) {
	case "mkfs.ext4":
		d, _ := f.open(args[len(args)-1])
		f.writeExt4(d, RootLabel)
		return 0, d.Close()
	case "wellcard":
		if args[0] == "network" && f.keeper != nil {
			return f.keeper(ctx, line, args[1])
		}
		for l := range strings.SplitSeq(f.output, "\n") {
			line(l)
		}
		return f.status, nil
	}
	return -1, fmt.Errorf("no program %s", name)
}

func (f *fake) machine() Machine {
	return Machine{
		Root: f.root, Log: f.log, Show: f.show, Quote: func(tag, line string) { f.log(kmsg.Info, "%s: %s", tag, line) }, Now: func() time.Duration { return time.Second }, GUID: func() gpt.GUID { return gpt.GUID{0xaa} },
		Mount: func(m mount.Mount) error {
			f.did("mount %v", m)
			return os.MkdirAll(filepath.Join(f.root, m.Target), 0o755)
		},
		Unmount:    func(target string) error { f.did("unmount %s", target); return nil },
		LoadModule: func(name, params string) error { f.did("load %s", name); return nil },
		Modaliases: func(buses []string) []string { return nil },
		Events: func(ctx context.Context) ([]uevent.Event, error) {
			if f.ready {
				return nil, context.DeadlineExceeded
			}
			f.ready = true
			return []uevent.Event{{Action: "add", Env: map[string]string{"MODALIAS": "virtio:d2"}}, {Action: "add", Env: map[string]string{"SUBSYSTEM": "block"}}}, nil
		},
		Devices: f.devices, OpenDevice: f.open, OpenForWrite: f.open,
		ReadPartitions: func(disk string) error { f.did("read partitions"); return nil },
		ResizePartition: func(disk string, number int, start, length int64) error {
			f.did("resize %s %d %d+%d MiB", disk, number, start>>20, length>>20)
			return nil
		},
		GrowExt4: func(at string, size int64) error { f.did("grow %s to %d MiB", at, size>>20); return nil },
		CreateVerity: func(name, uuid string, t dm.Target) (string, error) {
			f.did("verity %s %s", name, strings.Fields(t.Params)[1])
			return "/dev/mapper/" + name, nil
		},
		Run: f.run, Shell: func() error { f.rescued = true; return nil },
		HandOver: func(root string) error { panic(ended{"handed over " + root}) },
		Reboot:   func() { panic(ended{"rebooted"}) },
		Wait:     func(d time.Duration) { f.did("wait %v", d) },
	}
}

// boot runs a boot to its end and says how it ended. Handing over happens on a
// step's goroutine, where a panic is an error, so it is an error here too.
func (f *fake) boot(change func(*Machine)) (end string) {
	f.done, f.logs, f.ready = nil, nil, false
	m := f.machine()
	m.HandOver = func(root string) error { f.did("hand over %s", root); return errors.New("handed over") }
	if change != nil {
		change(&m)
	}
	defer func() {
		e, ok := recover().(ended)
		if !ok {
			f.Fatal("the boot returned")
		}
		end = e.how
		if i := slices.IndexFunc(f.done, func(s string) bool { return strings.HasPrefix(s, "hand over") }); i >= 0 {
			f.done, end = f.done[:i], "handed over"
		}
	}()
	Run(m)
	return ""
}

// expect checks that these were done, in this order, among others.
func (f *fake) expect(want ...string) {
	f.Helper()
	rest := f.done
	for _, w := range want {
		i := slices.IndexFunc(rest, func(s string) bool { return strings.Contains(s, w) })
		if i < 0 {
			f.Errorf("%q is missing, or not in order, among:\n%s\nlog:\n%s", w, strings.Join(f.done, "\n"), strings.Join(f.logs, "\n"))
			return
		}
		rest = rest[i+1:]
	}
}

func (f *fake) expectNot(what string) {
	f.Helper()
	for _, d := range append(f.done, f.logs...) {
		if strings.Contains(d, what) {
			f.Errorf("unexpected: %s", d)
		}
	}
}

func (f *fake) expectLog(what string) {
	f.Helper()
	if !slices.ContainsFunc(f.logs, func(s string) bool { return strings.Contains(s, what) }) {
		f.Errorf("the log lacks %q:\n%s", what, strings.Join(f.logs, "\n"))
	}
}

func TestFirstAndSecondBoot(t *testing.T) {
	f := newFake(t, "rootflags=rw flatcar.oem.id=ec2")
	if end := f.boot(nil); end != "handed over" {
		t.Errorf("ended: %s", end)
	}
	f.expect("load ext4", "load virtio_blk", "resize /dev/vda 9 48+11 MiB", "verity usr /dev/vda4",
		"mount erofs /dev/mapper/usr on /usr (ro)", "mount ext4 /dev/vda6 on /run/wellcar/oem (ro)", "load vfat",
		"wellcard provision --root /sysroot --platform aws --stage fetch-offline,fetch,kargs,disks --esp /dev/vda1 --oem /run/wellcar/oem",
		"unmount /run/wellcar/oem", "mkfs.ext4", "mount ext4 /dev/vda9 on /sysroot", "mount bind /usr on /sysroot/usr",
		"mount overlay", "mount ext4 /dev/vda6 on /sysroot/oem", "wellcard provision --root /sysroot --platform aws --stage mount,files,umount",
		"mount vfat /dev/vda1 on /run/wellcar/esp (nosuid", "unmount /run/wellcar/esp")
	if got := f.table().DiskGUID; got != (gpt.GUID{0xaa}) {
		t.Errorf("the disk has the GUID %v", got)
	}
	times, err := os.ReadFile(filepath.Join(f.root, PhaseFile))
	if err != nil || !strings.Contains(string(times), `{"name":"modules","start_us":1000000,"end_us":1000000}`) {
		t.Errorf("%s, %v", times, err)
	}
	put(t, f.root, map[string]string{"proc/cmdline": fmt.Sprintf("usrhash=%x flatcar.first_boot=0", f.hash)})
	if end := f.boot(nil); end != "handed over" {
		t.Errorf("ended: %s", end)
	}
	f.expect("mount ext4 /dev/vda9 on /sysroot")
	for _, no := range []string{"mkfs", "resize", "wellcard", "load vfat", "GUID"} {
		f.expectNot(no)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name, words string
		change      func(*fake, *Machine)
		log         string
		expect      []string
	}{
		{"provisioning", "", func(f *fake, _ *Machine) { f.status, f.output = 1, "reading\nconfig.bu:3:5: no such user\n" },
			"BOOT FAILED: provisioning: config.bu:3:5: no such user", []string{"wellcard", "mount vfat", "unmount /run/wellcar/esp", "wait 5m0s"}},
		{"no disk", "wellcar.emergency=reboot", func(_ *fake, m *Machine) {
			m.Events = func(context.Context) ([]uevent.Event, error) { return nil, context.DeadlineExceeded }
		}, "there is no USR partition (no further device came", nil},
		{"verity", "", func(_ *fake, m *Machine) {
			m.CreateVerity = func(string, string, dm.Target) (string, error) { return "", errors.New("no such target") }
		}, "BOOT FAILED: opening /usr on vda4: no such target", []string{"mount vfat", "wait"}},
		{"panic", "", func(_ *fake, m *Machine) {
			m.CreateVerity = func(string, string, dm.Target) (string, error) { panic("oh") }
		}, "BOOT FAILED: BUG in verity: oh", []string{"wait"}},
		{"mkfs", "", func(_ *fake, m *Machine) {
			m.Run = func(_ context.Context, line func(string), name string, _ ...string) (int, error) {
				if !strings.Contains(name, "mkfs") {
					return 0, nil
				}
				line("no space")
				return 1, nil
			}
		}, "BOOT FAILED: making the root file system: mkfs.ext4 ended with status 1: no space", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, c.words)
			if end := f.boot(func(m *Machine) { c.change(f, m) }); end != "rebooted" {
				t.Errorf("ended: %s", end)
			}
			f.expectLog(c.log)
			f.expect(c.expect...)
			if c.words != "" {
				f.expectNot("wait")
			}
		})
	}
}

func TestRestartForKernelArguments(t *testing.T) {
	f := newFake(t, "")
	end := f.boot(func(m *Machine) {
		run := m.Run
		m.Run = func(ctx context.Context, line func(string), name string, args ...string) (int, error) {
			put(t, f.root, map[string]string{wantRestart: ""})
			return run(ctx, line, name, args...)
		}
	})
	if end != "rebooted" {
		t.Errorf("ended: %s", end)
	}
	f.expect("wellcard provision", "unmount /run/wellcar/oem")
	for _, no := range []string{"mkfs", "FAILED", "wait", "mount,files"} {
		f.expectNot(no)
	}
}

// addOnStub is the smallest PE32+ image that a section can be added to.
func addOnStub() []byte {
	stub := make([]byte, 512)
	copy(stub, "MZ")
	stub[0x3c] = 0x40
	copy(stub[0x40:], "PE\x00\x00\x64\x86")
	stub[0x54], stub[0x58], stub[0x59], stub[0x79], stub[0x7d], stub[0x95] = 112, 0x0b, 0x02, 0x10, 0x02, 0x02
	return stub
}

func TestSettingsOfTheOwner(t *testing.T) {
	const settings, word = "set linux_append=\"$linux_append my.word=1\"\n", " my.word=1"
	stub := addOnStub()
	for _, c := range []struct {
		name, settings, words string
		stub                  string
		end, log              string
	}{
		{"new", settings, "", string(stub), "rebooted", "restarting with other words"},
		{"read by the boot loader", settings, word, string(stub), "handed over", ""},
		{"none", "# nothing\n", "", string(stub), "handed over", ""},
		{"no add-on can be made", settings, "", "", "handed over", "is not started with the words of grub.cfg"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, "flatcar.first_boot=1"+c.words)
			put(t, f.root, map[string]string{earlyOEM + "/grub.cfg": c.settings, "usr/" + layout.AddOnStub: c.stub})
			if end := f.boot(nil); end != c.end {
				t.Errorf("ended: %s", end)
			}
			if c.log != "" {
				f.expectLog(c.log)
			}
			f.expectNot("BOOT FAILED: restart")
		})
	}
}

// TestImageForAPlatform boots an image whose OEM partition has oem_id for the
// first time, with the add-on that its build put beside the kernel and without.
func TestImageForAPlatform(t *testing.T) {
	const settings, words = "set oem_id=\"ec2\"\nset linux_append=\"net.ifnames=0\"\n", "flatcar.oem.id=ec2 net.ifnames=0"
	addOn, err := bootargs.Make(addOnStub(), words)
	if err != nil {
		t.Fatal(err)
	}
	boot := func(line string, addOn []byte) (*fake, string) {
		f := newFakeWith(t, line, addOn)
		put(t, f.root, map[string]string{earlyOEM + "/grub.cfg": settings, "usr/" + layout.AddOnStub: string(addOnStub())})
		return f, f.boot(nil)
	}
	f, end := boot(words, addOn)
	f.expect("wellcard provision --root /sysroot --platform aws --stage fetch-offline", "mount,files,umount")
	f.expectNot("restarting with")
	if end != "handed over" {
		t.Errorf("with the add-on the first boot ended: %s", end)
	}
	if f, end = boot("", nil); end != "rebooted" {
		t.Errorf("without one it ended: %s", end)
	}
	f.expectLog("restarting with other words")
	f.expectNot("wellcard provision")
}

func TestFailureIsToldToTheNextBoot(t *testing.T) {
	f := newFake(t, "")
	f.status, f.output = 1, "wrong"
	f.boot(nil)
	saved, err := os.ReadFile(filepath.Join(f.root, espDir, lastFailure))
	if err != nil || string(saved) != "provisioning: wrong\n" {
		t.Errorf("saved %q, %v", saved, err)
	}
	stored, err := os.ReadFile(filepath.Join(f.root, espDir, lastReport))
	if want := `"sentence":"provisioning: wrong"`; err != nil || !strings.Contains(string(stored), want) {
		t.Errorf("stored %s, %v", stored, err)
	}
}

func TestFailureHasAPage(t *testing.T) {
	early := newFake(t, "root=UUID=none")
	early.boot(nil)
	f := newFake(t, "")
	f.status, f.output = 1, "c.bu:5:3: cannot write file /x: no"
	left := report.Report{Failed: true, Phase: "provision", Sentence: f.output, Done: 3, Mark: 5, Column: 3,
		Excerpt: []report.Line{{Number: 5, Text: "  - path: /x"}}}
	put(t, f.root, map[string]string{"run/wellcar/report": string(left.Encode()), "usr/lib/os-release": "VERSION_ID=\"1.2.3\"\n"})
	f.boot(nil)
	for _, c := range []struct {
		page  []string
		wants []string
	}{
		{early.page, []string{"WELLCAR: THE BOOT FAILED (root)", "no root file system UUID=none", "Rebooting in 5m0s", "█▀"}},
		{f.page, []string{"WELLCAR: PROVISIONING FAILED, version 1.2.3", "c.bu:5:3: cannot write", "> 5 |   - path: /x", "    |   ^", "3 steps done"}},
	} {
		text := strings.Join(c.page, "\n")
		for _, want := range c.wants {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
}

func TestFailureIsServedAndSent(t *testing.T) {
	f := newFake(t, "root=UUID=none wellcar.report.url=http://10.0.2.2/r")
	f.output = "http://10.0.2.15:80/aa"
	put(t, f.root, map[string]string{"proc/net/route": "Iface Destination\neth0 00000000 0202000A\n"})
	f.boot(nil)
	if text := strings.Join(f.page, "\n"); !strings.Contains(text, "The same, in a browser: http://10.0.2.15:80/aa") {
		t.Error(text)
	}
	f.expect("wellcard report --serve --last "+failedReport+" --token aa00000000000000",
		"wellcard report --send --url http://10.0.2.2/r --last "+failedReport)
}

func TestShellOnFailure(t *testing.T) {
	f := newFake(t, "root=UUID=none wellcar.emergency=shell")
	if end := f.boot(nil); end != "rebooted" || !f.rescued {
		t.Errorf("ended: %s, shell %v", end, f.rescued)
	}
	f.expectLog("no root file system UUID=none among vda1")
	f.expectNot("wait")
}

func TestBootGoesOnWithout(t *testing.T) {
	for name, c := range map[string]struct {
		number int // partition to wipe
		log    string
		first  bool
	}{
		"the EFI system partition": {1, "the EFI system partition vda1 is unreadable: ", false},
		"OEM":                      {6, "/oem is not available: no file system on vda6", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			d, err := f.open(fmt.Sprintf("/dev/vda%d", c.number))
			f.must(err)
			_, err = d.WriteAt(make([]byte, 4096), 0)
			f.must(errors.Join(err, d.Close()))
			if end := f.boot(nil); end != "handed over" {
				t.Errorf("ended: %s", end)
			}
			f.expectLog(c.log)
			if ran := slices.ContainsFunc(f.done, func(s string) bool { return strings.HasPrefix(s, "wellcard") }); ran != c.first {
				t.Errorf("provisioned: %v", ran)
			}
		})
	}
}

func TestDamagedTablesAreRepaired(t *testing.T) {
	f := newFake(t, "")
	d, err := f.open("/dev/vda")
	f.must(err)
	_, err = d.WriteAt(make([]byte, 512), 512)
	f.must(errors.Join(err, d.Close()))
	if end := f.boot(nil); end != "handed over" {
		t.Errorf("ended: %s", end)
	}
	f.expectLog("repaired the primary partition table")
	d, err = f.open("/dev/vda")
	f.must(err)
	defer d.Close()
	if primary, backup := gpt.Damage(d, f.size, 512); primary != nil || backup != nil {
		t.Errorf("primary %v, backup %v", primary, backup)
	}
}

func TestRootOnAMarkedFileSystem(t *testing.T) {
	f := newFake(t, "")
	f.boot(nil)
	d, err := f.open("/dev/vda9")
	f.must(err)
	_, err = d.WriteAt([]byte{3}, 1024+ext4StateAt)
	f.must(errors.Join(err, d.Close()))
	for status, want := range map[int]string{0: "handed over", 1: "handed over", 2: "handed over", 4: "rebooted"} {
		end := f.boot(func(m *Machine) {
			m.Run = func(_ context.Context, line func(string), name string, _ ...string) (int, error) {
				if filepath.Base(name) == "fsck.ext4" {
					return status, nil
				}
				return 0, nil
			}
		})
		if end != want {
			t.Errorf("status %d: %s, want %s", status, end, want)
		}
	}
	f.expectLog("/dev/vda9 is marked as damaged")
}

func TestRootInMemory(t *testing.T) {
	f := newFake(t, "rootfstype=tmpfs")
	if end := f.boot(nil); end != "handed over" {
		t.Errorf("ended: %s", end)
	}
	f.expect("mount tmpfs root on /sysroot (mode=0755)", "mount bind")
	f.expectNot("mkfs")
}
