package vm_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/qemu"
)

// TestConfigsInGuest gives many configs to one machine that runs: broken ones,
// and random ones for its two empty disks.
func TestConfigsInGuest(t *testing.T) {
	r := newRig(t)
	vm := r.start(qemu.Machine{Image: r.image, Disks: []int64{2 << 30, 2 << 30}, FwCfg: map[string][]byte{configName: r.keyConfig()}})
	client, err := vm.SSH(r.ctx, "core", r.key, 0)
	r.must(err)
	defer client.Close()
	t.Run("broken", func(t *testing.T) { r.in(t).brokenConfigs(client) })
	t.Run("disks", func(t *testing.T) { r.in(t).randomDisks(client) })
}

// brokenConfigs gives every config of the table to the program of the machine,
// with the machine itself as the root: each must end with the sentence that
// `wellcar plan` has, before the first change.
func (r *rig) brokenConfigs(client *qemu.Client) {
	const dir = "../../internal/provision/testdata/broken"
	text, err := os.ReadFile(filepath.Join(dir, "want.txt"))
	r.must(err)
	wants := strings.Split(strings.TrimSpace(string(text)), "\n")
	var script strings.Builder
	script.WriteString("mkdir /tmp/broken; cd /tmp/broken\n")
	for _, want := range wants {
		name, _, _ := strings.Cut(want, ":")
		data, err := os.ReadFile(filepath.Join(dir, name))
		r.must(err)
		fmt.Fprintf(&script, "base64 --decode > %s <<'END'\n%s\nEND\n", name, base64.StdEncoding.EncodeToString(data))
		fmt.Fprintf(&script, "sudo wellcard provision --root / --config %s --record /run/broken/provision.json 2>&1 | tail --lines 1\n", name)
	}
	got, err := client.Run(r.ctx, script.String())
	r.must(err)
	lines := strings.Split(strings.TrimSpace(string(got.Stdout)), "\n")
	for i, want := range wants {
		if i >= len(lines) || lines[i] != "provision: "+want {
			r.Errorf("got  %s\nwant %s", lines[min(i, len(lines)-1)], want)
		}
	}
}

// randomDisks runs TestVMRandomDisks of package provision in the machine,
// without udev, as there is none in the initrd.
func (r *rig) randomDisks(client *qemu.Client) {
	program := filepath.Join(r.TempDir(), "provision.test")
	build := exec.CommandContext(r.ctx, "go", "test", "-c", "-o", program, "wellcar.dev/internal/provision")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		r.Fatalf("building the test for the machine: %v\n%s", err, out)
	}
	f, err := os.Open(program)
	r.must(err)
	defer f.Close()
	r.must(client.Copy(r.ctx, f, "/home/core/provision.test", 0o755))
	got, err := client.Run(r.ctx, "exec 2>&1; sudo systemctl stop systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket && sudo mv /run/udev /run/udev.away && "+
		"sudo WELLCAR_TEST_DISKS='/dev/vdb /dev/vdc' ./provision.test -test.v -test.run '^TestVMRandomDisks$'")
	r.must(err)
	r.Logf("%s", got.Stdout)
	if got.Code != 0 || !strings.Contains(string(got.Stdout), "--- PASS: TestVMRandomDisks") {
		r.Errorf("it ended with status %d", got.Code)
	}
}
