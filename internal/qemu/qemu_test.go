package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testPlaces = places{
	code: "/t/CODE.fd", vars: "/d/vars", boot: "/d/boot,1", bootFormat: "qcow2", disks: []string{"/d/disk1"},
	serial: "/d/serial", qmp: "/d/qmp", monitor: "/d/monitor", fwcfg: "/d/fwcfg", data: []string{"/t/share"},
}

func TestArguments(t *testing.T) {
	m, err := Machine{
		Image: "x.img", CPUs: 2, NICs: 2, Ports: []Port{{2222, 22}, {0, 80}},
		Services:   []Service{{"10.0.2.100:5000", []string{"/opt/a b/wellcar", "pipe", "127.0.0.1:1,2"}}},
		FwCfg:      map[string][]byte{"opt/z": nil, "opt/a": nil},
		KernelArgs: []string{"a=1,2", "flatcar.autologin"}, Extra: []string{"-snapshot"},
	}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	got := arguments(m, testPlaces)
	for _, want := range [][]string{
		{"-smp", "2", "-m", "2048"},
		{"-accel", "tcg,thread=multi,tb-size=512"},
		{"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/t/CODE.fd"},
		{"-drive", "if=none,id=disk0,format=qcow2,discard=unmap,cache=unsafe,file=/d/boot,,1", "-device", "virtio-blk-pci,drive=disk0,bootindex=1"},
		{"-device", "virtio-blk-pci,drive=disk1,serial=disk1"},
		{"-netdev", "user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:0-:80,guestfwd=tcp:10.0.2.100:5000-cmd:'/opt/a b/wellcar' pipe '127.0.0.1:1,,2'"},
		{"-netdev", "user,id=net1,net=10.0.3.0/24", "-device", "virtio-net-pci,netdev=net1,romfile=,mac=52:54:00:12:34:57"},
		{"-fw_cfg", "name=opt/a,file=/d/fwcfg/0", "-fw_cfg", "name=opt/z,file=/d/fwcfg/1"},
		{"-smbios", "type=11,value=io.systemd.stub.kernel-cmdline-extra=no_timer_check nohz=off mitigations=off a=1,,2 flatcar.autologin", "-snapshot"},
	} {
		if !contains(got, want) {
			t.Errorf("no %q in\n%q", want, got)
		}
	}
	if slices.Contains(got, "tpm-crb,tpmdev=tpm0") {
		t.Error("there is a TPM that nobody asked for")
	}
}

func TestArgumentsOfOtherBuses(t *testing.T) {
	m, err := Machine{Image: "x.img", Bus: VirtioSCSI, Persist: true, Accel: KVM, TPM: true}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	p := testPlaces
	p.tpm = "/d/tpm"
	got := arguments(m, p)
	for _, want := range [][]string{
		{"-accel", "kvm", "-cpu", "max"}, {"-device", "scsi-hd,bus=scsi0.0,drive=disk0,bootindex=1"},
		{"-tpmdev", "emulator,id=tpm0,chardev=tpm0", "-device", "tpm-crb,tpmdev=tpm0"},
		{"-drive", "if=none,id=disk0,format=qcow2,discard=unmap,cache=writeback,file=/d/boot,,1"},
	} {
		if !contains(got, want) {
			t.Errorf("no %q in\n%q", want, got)
		}
	}
}

func TestSegment(t *testing.T) {
	m, err := Machine{Image: "x.img", NICs: 2, Segment: Segment{Port: 5000, MAC: "52:54:00:80:00:01"}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	// Behind the other cards, so that their names stay.
	want := []string{
		"virtio-net-pci,netdev=net1,romfile=,mac=52:54:00:12:34:57",
		"-netdev", "socket,id=segment,mcast=230.0.0.1:5000,localaddr=127.0.0.1",
		"-device", "virtio-net-pci,netdev=segment,romfile=,mac=52:54:00:80:00:01",
	}
	if got := arguments(m, testPlaces); !contains(got, want) {
		t.Errorf("no %q in\n%q", want, got)
	}
	plain, err := Machine{Image: "x.img"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(arguments(plain, testPlaces), " "); strings.Contains(got, "segment") || plain.Segment.MAC != "" {
		t.Errorf("a machine without a segment has %+v: %s", plain.Segment, got)
	}
}

// Two machines on one segment differ, and from all the other cards.
func TestSegmentMAC(t *testing.T) {
	var macs []string
	for range 2 {
		m, err := Machine{Image: "x.img", Segment: Segment{Port: 5000}}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		macs = append(macs, m.Segment.MAC)
		if !strings.HasPrefix(m.Segment.MAC, "52:54:00:") || strings.HasPrefix(m.Segment.MAC, "52:54:00:12:34:") {
			t.Errorf("address %s", m.Segment.MAC)
		}
	}
	if macs[0] == macs[1] {
		t.Errorf("both have %s", macs[0])
	}
}

func TestParseSegment(t *testing.T) {
	if s, err := ParseSegment("65535"); err != nil || s.Port != 65535 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "0", "65536", "-1", "web", "5000:22"} {
		if s, err := ParseSegment(bad); err == nil || !strings.Contains(err.Error(), "write a number from 1 to 65535") {
			t.Errorf("%q is read as %+v, %v", bad, s, err)
		}
	}
}

// The port can be bound as QEMU binds it.
func TestFreeSegment(t *testing.T) {
	s, err := FreeSegment()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.withDefaults(); err != nil || s.Port == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(segmentGroup), Port: s.Port})
	if err != nil {
		t.Fatalf("port %d is not free: %v", s.Port, err)
	}
	taken.Close()
}

func TestArgumentsOfABIOS(t *testing.T) {
	f, err := ParseFirmware("bios")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Machine{Image: "x.img", Firmware: f}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range arguments(m, testPlaces) {
		if strings.Contains(a, "pflash") {
			t.Errorf("a machine with a BIOS has %s", a)
		}
	}
	if _, err := ParseFirmware("coreboot"); err == nil {
		t.Error("unknown firmware accepted")
	}
}

func contains(all, part []string) bool {
	for i := 0; i+len(part) <= len(all); i++ {
		if slices.Equal(all[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

func TestMachineRefused(t *testing.T) {
	for _, m := range []Machine{
		{}, {Image: "x", NICs: 9}, {Image: "x", Memory: -1},
		{Image: "x", Segment: Segment{Port: 65536}}, {Image: "x", Segment: Segment{Port: -1}},
		{Image: "x", Segment: Segment{Port: 1, MAC: "a,b"}}, {Image: "x", Segment: Segment{Port: 1, MAC: "01:00:5e:00:00:01"}},
		{Image: "x", FwCfg: map[string][]byte{"etc/x": nil}}, {Image: "x", FwCfg: map[string][]byte{"opt/a,b": nil}},
	} {
		if _, err := m.withDefaults(); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
	if _, err := ParseAccel("hax"); err == nil {
		t.Error("unknown accelerator accepted")
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"": "''", "a/b.c": "a/b.c", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := Quote(word); got != want {
			t.Errorf("Quote(%q) = %s, want %s", word, got, want)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("a shell reads %s as %q (%v)", Quote(word), out, err)
		}
	}
}

func TestMatchPorts(t *testing.T) {
	list := "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n" +
		"  TCP[HOST_FORWARD]  14       127.0.0.1 44707       10.0.2.15    22     0     0\r\n" +
		"  TCP[HOST_FORWARD]  13       127.0.0.1  8080       10.0.2.15    80     0     0\r\n" +
		"  TCP[ESTABLISHED]   12       127.0.0.1  9999       10.0.2.15    22     0     0\r\n"
	got, err := matchPorts([]Port{{8080, 80}, {0, 22}}, list)
	if diff := cmp.Diff([]Port{{8080, 80}, {44707, 22}}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := matchPorts([]Port{{0, 22}, {0, 22}}, list); err == nil {
		t.Error("one forward serves two wishes")
	}
}

func feed(s *Serial, chunks ...string) {
	r, w := io.Pipe()
	go func() {
		for _, c := range chunks {
			_, _ = io.WriteString(w, c)
		}
		w.Close()
	}()
	_, _ = s.ReadFrom(r)
}

func TestSerial(t *testing.T) {
	var raw strings.Builder
	s := NewSerial(io.Discard, time.Now())
	s.Tee(&raw)
	feed(s, "\x1b[2J\x1b[01;01HBdsDxe: load", "ing\r\n[ OK", " ] done\x1b[0m\r\nlogin: ")
	want := []string{"BdsDxe: loading", "[ OK ] done", "login: "}
	if diff := cmp.Diff(want, s.Tail(10)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(raw.String(), "\x1b[2J") || !strings.HasSuffix(raw.String(), "login: ") {
		t.Errorf("raw copy %q", raw.String())
	}
	var seen []string
	s.Watch(func(l Line) { seen = append(seen, l.Text) })
	if len(seen) != 3 {
		t.Errorf("a late watcher saw %q", seen)
	}
	_, err := s.WaitFor(t.Context(), regexp.MustCompile("nothing of the kind"))
	if err == nil || !strings.Contains(err.Error(), "the machine ended") || !strings.Contains(err.Error(), "    [ OK ] done") {
		t.Errorf("got %v", err)
	}
}

func TestSerialWait(t *testing.T) {
	s := NewSerial(io.Discard, time.Now())
	r, w := io.Pipe()
	go s.ReadFrom(r)
	found := make(chan error, 1)
	prompt := regexp.MustCompile(`login: $`)
	go func() { _, err := s.WaitFor(t.Context(), prompt); found <- err }()
	io.WriteString(w, "one\nhost login: ")
	if err := <-found; err != nil {
		t.Error(err)
	}
	mark := s.Mark()
	io.WriteString(w, "core\nback\n")
	if l, err := s.WaitAfter(t.Context(), mark, regexp.MustCompile("one|back")); err != nil || l.Text != "back" {
		t.Errorf("%+v %v", l, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the deadline of the boot"))
	if _, err := s.WaitFor(ctx, regexp.MustCompile("never")); err == nil || !strings.Contains(err.Error(), "deadline of the boot; the console's last lines:\n    one") {
		t.Errorf("got %v", err)
	}
	w.Close()
}

func TestSerialForgets(t *testing.T) {
	s := NewSerial(io.Discard, time.Now())
	feed(s, strings.Repeat("x\n", 2*keptLines+10), strings.Repeat("y", 3*maxLine))
	if n := len(s.lines); n > 2*keptLines {
		t.Errorf("%d lines are kept", n)
	}
	if got := s.Mark(); got != 2*keptLines+10+3 {
		t.Errorf("mark %d", got)
	}
}

func TestTimeline(t *testing.T) {
	var tl Timeline
	at := func(seconds float64) time.Duration { return time.Duration(seconds*1000+0.5) * time.Millisecond }
	for _, l := range []Line{
		{at(1), "BdsDxe: starting Boot0001"},
		{at(2.9), "[    0.000000] Linux version 6.12"}, // late: the console was not there yet
		{at(3.0), "[    0.700000] something"},
		{at(4.0), "[    2.000000] Run /init as init process"},
		{at(4.1), "[    2.100000] wellcar-init: phase modules 0.25s"},
		{at(4.2), "wellcar-init: phase provision 0.5s"},
		{at(5.3), "[    3.000000] systemd[1]: systemd 257 running in system mode (+PAM)"},
		{at(9.0), "[    7.000000] wellcar: reached ssh"},
		{at(20), "[    0.000000] Linux version 6.12"}, // a reboot
		{at(30), "[    7.000000] wellcar: reached ssh"},
	} {
		tl.Observe(l)
	}
	want := []Span{{"firmware", at(2)}, {"kernel", at(2)}, {"initrd", at(0.5)}, {"provisioning", at(0.5)}, {"userspace", at(4)}}
	if diff := cmp.Diff(want, tl.Spans(at(9))); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if ssh, ok := tl.Reached("ssh"); !ok || ssh != at(9) {
		t.Errorf("ssh reached at %s", ssh)
	}
	if got := (&Timeline{}).Spans(at(1)); len(got) != 1 {
		t.Errorf("spans of a silent machine: %v", got)
	}
}

func FuzzConsole(f *testing.F) {
	f.Add("[   12.345678] wellcar-init: phase usr 0.412s\n\x1b]0;title\x07\x1b[1;31mred\n")
	f.Fuzz(func(t *testing.T, text string) {
		var tl Timeline
		s := NewSerial(io.Discard, time.Now())
		s.Watch(tl.Observe)
		feed(s, text)
		for _, line := range s.Tail(100) {
			if strings.ContainsAny(line, "\x1b\r\n\x00") {
				t.Errorf("control characters remain in %q", line)
			}
		}
		tl.Spans(time.Second)
	})
}

// fakeQMP answers each command with what reply gives for it.
func fakeQMP(conn net.Conn, reply func(command string) string) {
	fmt.Fprintln(conn, `{"QMP": {"version": {}, "capabilities": []}}`)
	for dec := json.NewDecoder(conn); ; {
		var q struct{ Execute string }
		if dec.Decode(&q) != nil {
			return
		}
		fmt.Fprintln(conn, reply(q.Execute))
	}
}

func TestMonitor(t *testing.T) {
	here, there := net.Pipe()
	go fakeQMP(there, func(command string) string {
		switch command {
		case "query-status":
			return `{"event": "RESET", "data": {"guest": true}}` + "\n" + `{"return": {"status": "running"}}`
		case "device_add":
			return `{"error": {"class": "GenericError", "desc": "no such bus"}}`
		}
		return `{"return": {}}`
	})
	m, err := NewMonitor(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	vm := &VM{Monitor: m}
	if s, err := vm.Status(t.Context()); err != nil || s != "running" {
		t.Errorf("status %q, %v", s, err)
	}
	if err := m.Do(t.Context(), "device_add", nil, nil); err == nil || err.Error() != "monitor command device_add: no such bus (GenericError)" {
		t.Errorf("got %v", err)
	}
	there.Close()
	if err := vm.Reset(t.Context()); err == nil {
		t.Error("a closed monitor takes commands")
	}
}

func TestMonitorSilent(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no patience"))
	if _, err := NewMonitor(ctx, here); err == nil || !strings.Contains(err.Error(), "no patience") {
		t.Errorf("got %v", err)
	}
}

func TestKey(t *testing.T) {
	key, err := NewKey("wellcar run")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(key.Line, "ssh-ed25519 ") || !strings.HasSuffix(key.Line, " wellcar run") {
		t.Errorf("line %q", key.Line)
	}
	file := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(file, key.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(file)
	if err != nil || !strings.HasPrefix(key.Line, again.Line) {
		t.Errorf("%q, %v", again.Line, err)
	}
}

func TestProbeCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "kvm.json")
	writeProbe(file, Probe{OK: true, Key: "boot qemu"})
	if p, ok := readProbe(file, "boot qemu"); !ok || p.Accel() != KVM {
		t.Errorf("%+v %t", p, ok)
	}
	if _, ok := readProbe(file, "boot2 qemu"); ok {
		t.Error("the answer outlives a reboot")
	}
}

// missing is a tool set without tools.
type missing struct{}

func (missing) Path(rel string) string { return "/nonexistent/" + rel }
func (missing) Command(context.Context, string, ...string) (*exec.Cmd, error) {
	return nil, errors.New("the set is empty")
}

func TestStartWithoutTools(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, err := Start(t.Context(), missing{}, Machine{Image: "disk.img"})
	if err == nil || !strings.Contains(err.Error(), "starting a machine from disk.img") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTimelineWithoutKernelMessages(t *testing.T) {
	var line Timeline
	for _, l := range []Line{
		{At: 5 * time.Second, Text: "wellcar-init: phase mounts 0.5s, 3.0s after the kernel's start"},
		{At: 6 * time.Second, Text: "wellcar-init: phase provision 0.25s, 4.0s after the kernel's start"},
		{At: 7 * time.Second, Text: "Welcome to Wellcar Container Linux 0.1.0!"},
		{At: 30 * time.Second, Text: "wellcar-init: phase mounts 9s, 9s after the kernel's start"},
	} {
		line.Observe(l)
	}
	want := []Span{
		{"firmware", 2 * time.Second}, {"kernel", 2500 * time.Millisecond}, {"initrd", 1250 * time.Millisecond},
		{"provisioning", 250 * time.Millisecond}, {"userspace", 4 * time.Second},
	}
	if d := cmp.Diff(want, line.Spans(10*time.Second)); d != "" {
		t.Error(d)
	}
}

func TestShareOfCPUs(t *testing.T) {
	for _, c := range []struct{ host, machines, want int }{
		{2, 2, 1}, {1, 2, 1}, {2, 1, 2},
		{7, 2, 3}, {64, 2, 4},
		{2, 0, 2},
	} {
		if got := ShareOfCPUs(c.host, c.machines); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
