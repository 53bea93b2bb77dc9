package qemu

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// vmTools skips unless machines are wanted.
func vmTools(t *testing.T) Tools {
	t.Helper()
	if os.Getenv("WELLCAR_VM") != "1" {
		t.Skip("needs WELLCAR_VM=1 and a tool set in WELLCAR_TOOLS: boots machines")
	}
	return tooltest.Set(t)
}

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, stop := context.WithTimeout(t.Context(), limit)
	t.Cleanup(stop)
	return ctx
}

// A machine without anything to boot shows that firmware, console, monitor,
// ports, TPM and clean-up work.
func TestVMFirmware(t *testing.T) {
	tools := vmTools(t)
	ctx := within(t, time.Minute)
	image := filepath.Join(t.TempDir(), "blank,disk.img")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	segment, err := FreeSegment()
	if err != nil {
		t.Fatal(err)
	}
	vm, err := Start(ctx, tools, Machine{
		Segment: segment,
		Image:   image, DiskSize: 64 << 20, Disks: []int64{32 << 20}, Memory: 512, CPUs: 1, NICs: 2, TPM: true,
		Ports: []Port{{0, 22}, {0, 8080}}, FwCfg: map[string][]byte{"opt/org.flatcar-linux/config": []byte("{}")},
		KernelArgs: []string{"a=1,2", "b"}, Logf: t.Logf,
		Services: []Service{{"10.0.2.100:5000", []string{"/bin/cat"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if _, err := vm.Serial.WaitFor(ctx, regexp.MustCompile(`BdsDxe: |UEFI Interactive Shell`)); err != nil {
		t.Error(err)
	}
	if vm.HostPort(22) == 0 || vm.HostPort(8080) == 0 || vm.HostPort(22) == vm.HostPort(8080) {
		t.Errorf("ports: %v", vm.Ports)
	}
	if s, err := vm.Status(ctx); err != nil || s != "running" {
		t.Errorf("status %q, %v", s, err)
	}
	second, err := DialMonitor(ctx, vm.MonitorPath())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := second.Human(ctx, "info tpm"); err != nil || !strings.Contains(out, "tpm-crb") {
		t.Errorf("TPM: %q, %v", out, err)
	}
	if out, err := second.Human(ctx, "info network"); err != nil || !strings.Contains(out, "mcast="+segmentGroup+":"+strconv.Itoa(segment.Port)) {
		t.Errorf("network: %q, %v", out, err)
	}
	second.Close()
	tpm := vm.children[0]
	if err := vm.Close(); err != nil {
		t.Error(err)
	}
	<-tpm.done
	if _, err := os.Stat(vm.Dir()); !os.IsNotExist(err) {
		t.Errorf("the machine's folder remains: %v", err)
	}
}

func TestVMEndsWithContext(t *testing.T) {
	tools := vmTools(t)
	image := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	vm, err := Start(ctx, tools, Machine{Image: image, Memory: 256, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	cancel()
	<-vm.Done()
	if _, err := vm.Serial.WaitFor(t.Context(), regexp.MustCompile(`never said`)); err == nil || !strings.Contains(err.Error(), "the machine ended") {
		t.Errorf("got %v", err)
	}
}

func TestVMRefusesBadArgument(t *testing.T) {
	tools := vmTools(t)
	image := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(within(t, time.Minute), tools, Machine{Image: image, Extra: []string{"-no-such-option"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("got %v", err)
	}
}

// The probe must say yes under emulation, whatever KVM does here.
func TestVMProbe(t *testing.T) {
	tools := vmTools(t)
	p, err := runProbe(t.Context(), tools, TCG)
	if err != nil || !p.OK {
		t.Errorf("under emulation: %+v, %v", p, err)
	}
	cache := t.TempDir()
	first, err := ProbeKVM(t.Context(), tools, cache)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("KVM: %+v", first)
	began := time.Now()
	second, err := ProbeKVM(t.Context(), tools, cache)
	if err != nil || first.OK != second.OK || time.Since(began) > probeDeadline {
		t.Errorf("second answer %+v, %v after %s", second, err, time.Since(began))
	}
}

// The built image goes all the way: provisioned, typed into, started again.
func TestVMSSH(t *testing.T) {
	tools := vmTools(t)
	image := os.Getenv("WELLCAR_TEST_IMAGE")
	if image == "" {
		t.Skip("needs an image in WELLCAR_TEST_IMAGE")
	}
	ctx := within(t, 10*time.Minute)
	key, err := NewKey("test")
	if err != nil {
		t.Fatal(err)
	}
	config := []byte(`{"ignition":{"version":"3.3.0"},"passwd":{"users":[{"name":"core","sshAuthorizedKeys":[` + strconv.Quote(key.Line) + `]}]}}`)
	vm, err := Start(ctx, tools, Machine{Image: image, Ports: []Port{{0, 22}}, KernelArgs: []string{"trial=1,2", "x"}, Logf: t.Logf,
		FwCfg: map[string][]byte{"opt/org.flatcar-linux/config": config}})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	client, err := vm.SSH(ctx, "core", key, 0)
	if err != nil {
		t.Fatal(err)
	}
	ready, _ := vm.Boot.Reached("ssh")
	t.Logf("ready after %s: %v %v", ready, vm.Boot.Spans(ready), vm.Boot.Phases())
	r, err := client.Run(ctx, "cat /proc/cmdline; echo two >&2; exit 3")
	if err != nil || r.Code != 3 || string(r.Stderr) != "two\n" || !strings.Contains(string(r.Stdout), "trial=1,2 x") {
		t.Errorf("got %+v %q %v", r, r.Stdout, err)
	}
	if err := client.Copy(ctx, strings.NewReader("data"), "/tmp/a file", 0o600); err == nil {
		r, err = client.Run(ctx, "cat '/tmp/a file'")
		if err != nil || string(r.Stdout) != "data" {
			t.Errorf("copied %q, %v", r.Stdout, err)
		}
	}
	mark := vm.Serial.Mark()
	if err := vm.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := vm.SSH(ctx, "core", key, mark)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
