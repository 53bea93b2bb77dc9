// Package vm_test boots the image in virtual machines to see what an ordinary
// boot does not show: growth, loss and damage of each part of the disk
// (design, section 6; documented in docs/boot-process.md).
//
// The tests need the built image and run when WELLCAR_VM=1; `make test` sets
// it. Each console is kept with `go test -artifacts`.
package vm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/sys/hermetic"
	"wellcar.dev/internal/sys/hermetic/tooltest"
	"wellcar.dev/test/disk"
)

// limit is how long one test may take, on two busy cores without KVM.
const limit = 15 * time.Minute

// configName is the firmware file that a machine is provisioned from.
const configName = "opt/org.flatcar-linux/config"

// rig is what one test boots machines with.
type rig struct {
	*testing.T
	ctx   context.Context
	tools hermetic.Set
	image string // as built; not to be written
	key   qemu.Key
	accel qemu.Accel
	boots int
}

func newRig(t *testing.T) *rig { return newRigFor(t, limit) }

// newRigFor is newRig for a test that takes longer.
func newRigFor(t *testing.T, limit time.Duration) *rig {
	if os.Getenv("WELLCAR_VM") != "1" {
		t.Skip("boots virtual machines: set WELLCAR_VM=1")
	}
	r := &rig{T: t, tools: tooltest.Set(t), image: os.Getenv("WELLCAR_IMAGE")}
	if r.image == "" {
		r.image = filepath.Join("..", "..", "out", image.DiskFile)
	}
	if _, err := os.Stat(r.image); err != nil {
		t.Fatalf("the tests boot the built image: %v; make it with wellcar build", err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("the test did not end within %s", limit))
	t.Cleanup(cancel)
	probe, err := qemu.ProbeKVM(ctx, r.tools, "")
	r.must(err)
	r.ctx, r.accel = ctx, probe.Accel()
	r.key, err = qemu.NewKey("test")
	r.must(err)
	return r
}

// in is the rig for a part of its test.
func (r *rig) in(t *testing.T) *rig {
	part := *r
	part.T, part.boots = t, 0
	return &part
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// copyImage is the test's own copy of the image, to be written to.
func (r *rig) copyImage() string {
	r.Helper()
	name := filepath.Join(r.TempDir(), "disk.img")
	r.must(disk.Copy(name, r.image))
	return name
}

// start boots a machine; it ends with the test if not before.
func (r *rig) start(m qemu.Machine) *qemu.VM {
	r.Helper()
	r.boots++
	console, err := os.Create(filepath.Join(r.ArtifactDir(), fmt.Sprintf("console%d.log", r.boots)))
	r.must(err)
	m.Accel, m.Logf, m.Console = r.accel, r.Logf, console
	m.Ports = []qemu.Port{{Guest: 22}}
	vm, err := qemu.Start(r.ctx, r.tools, m)
	r.must(err)
	r.Cleanup(func() {
		vm.Close()
		console.Close()
	})
	return vm
}

// plug plugs the cable of a network card in, or pulls it. The first is net0.
func (r *rig) plug(vm *qemu.VM, card string, in bool) {
	r.Helper()
	m, err := qemu.DialMonitor(r.ctx, vm.MonitorPath())
	r.must(err)
	defer m.Close()
	r.must(m.Do(r.ctx, "set_link", map[string]any{"name": card, "up": in}, nil))
}

// keyConfig lets the test's key in as core.
func (r *rig) keyConfig() []byte {
	text, err := json.Marshal(r.key.Line)
	r.must(err)
	return []byte(`{"ignition":{"version":"3.3.0"},"passwd":{"users":[{"name":"core","sshAuthorizedKeys":[` + string(text) + `]}]}}`)
}

// configFile is a file of an Ignition config.
type configFile struct {
	Path      string            `json:"path"`
	Overwrite bool              `json:"overwrite"`
	Mode      int               `json:"mode"`
	Contents  map[string]string `json:"contents"`
}

func file(path string, mode int, text string) configFile {
	return configFile{path, true, mode, map[string]string{"source": "data:;base64," + base64Of(text)}}
}

// filesConfig writes files and lets the test's key in as core.
func (r *rig) filesConfig(files ...configFile) []byte {
	r.Helper()
	data, err := json.Marshal(map[string]any{"ignition": map[string]string{"version": "3.3.0"},
		"passwd":  map[string]any{"users": []any{map[string]any{"name": "core", "sshAuthorizedKeys": []string{r.key.Line}}}},
		"storage": map[string]any{"files": files}})
	r.must(err)
	return data
}

// says waits for a line of the console after a mark and returns it.
func (r *rig) says(vm *qemu.VM, mark int, pattern string) string {
	r.Helper()
	line, err := vm.Serial.WaitAfter(r.ctx, mark, regexp.MustCompile(pattern))
	r.must(err)
	return line.Text
}

// check is a command in a machine and what it is to print and to return.
type check struct {
	what    string
	command string
	want    string // regular expression for the whole output
	code    int
}

func (c check) judge(r *rig, output string, code int) {
	r.Helper()
	output = strings.TrimSpace(output)
	if !regexp.MustCompile(`(?s)^(?:` + c.want + `)$`).MatchString(output) {
		r.Errorf("%s: %s printed %q, want %q", c.what, c.command, output, c.want)
	}
	if code != c.code {
		r.Errorf("%s: %s ended with status %d, want %d", c.what, c.command, code, c.code)
	}
}

// overSSH runs checks as core.
func (r *rig) overSSH(client *qemu.Client, checks []check) {
	r.Helper()
	for _, c := range checks {
		got, err := client.Run(r.ctx, "exec 2>&1; "+c.command)
		r.must(err)
		c.judge(r, string(got.Stdout), got.Code)
	}
}

// onConsole runs checks in the shell that flatcar.autologin starts on the
// serial console: the way into a machine that was not provisioned.
func (r *rig) onConsole(vm *qemu.VM, checks []check) {
	r.Helper()
	var mu sync.Mutex
	var lines []string
	vm.Serial.Watch(func(l qemu.Line) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, l.Text)
	})
	const prompt = `core@\S+ \S+ \$ $`
	r.says(vm, 0, prompt)
	r.says(vm, 0, `wellcar: reached ssh`) // the last that the system says there by itself
	for i, c := range checks {
		mark := vm.Serial.Mark()
		_, err := fmt.Fprintf(vm.Serial, " echo '<'%d; (%s) 2>&1; echo $?'>'%d\n", i, c.command, i)
		r.must(err)
		r.says(vm, mark, fmt.Sprintf(`^\d+>%d$`, i))
		r.says(vm, mark, prompt) // what is typed before it would mix with the output
		mu.Lock()
		output, code := between(lines, i)
		mu.Unlock()
		c.judge(r, output, code)
	}
}

// between is what the console said between the two marks of a command.
func between(lines []string, i int) (output string, code int) {
	var out []string
	for _, l := range lines {
		if l == fmt.Sprintf("<%d", i) {
			out = nil
			continue
		}
		if n, err := fmt.Sscanf(l, "%d>"+fmt.Sprint(i), &code); n == 1 && err == nil {
			return strings.Join(out, "\n"), code
		}
		if !fromKernel.MatchString(l) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n"), -1
}

// fromKernel are the lines that the kernel puts between those of a shell.
var fromKernel = regexp.MustCompile(`^\[ *\d+\.\d+\] |^wellcar: reached `)
