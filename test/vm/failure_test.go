package vm_test

import (
	"image"
	_ "image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/butane"
	"wellcar.dev/internal/qemu"
)

// pageLimit is how long the way from a failure to a page on every console
// may take, emulated or not.
const pageLimit = 10 * time.Second

// failing is a machine with a valid config that its image makes impossible.
func (r *rig) failing(m qemu.Machine, name, text string) *qemu.VM {
	r.Helper()
	config, report, positions := butane.Translate(name, []byte(text), ".", true)
	r.must(report.Err())
	m.Image = r.image
	m.FwCfg = map[string][]byte{
		configName: config, "opt/wellcar/source": provision.NewSource(name, []byte(text), positions).Encode(),
	}
	return r.start(m)
}

// TestFailurePage looks at the page of a failed boot on both consoles: what
// it says, and when.
func TestFailurePage(t *testing.T) {
	r := newRig(t)
	vm := r.failing(qemu.Machine{Extra: []string{"-device", "VGA,edid=on,xres=1280,yres=800"}}, "conflict.bu", `variant: flatcar
version: 1.1.0
storage:
  files:
    - path: /etc/made
      contents:
        inline: made before the failure
    - path: /etc/hosts/mine
      contents:
        inline: below a file
`)
	failed := r.line(vm, `wellcar-init: BOOT FAILED: `)
	for _, want := range []string{
		`^WELLCAR: PROVISIONING FAILED, version \S+$`,
		`^conflict\.bu:8:7: .*/etc/hosts/mine`,
		`^> +8 \|     - path: /etc/hosts/mine$`,
		`^ +\|       \^$`,
		`^So far  \d+ steps? done`,
		`^ +wrote file /etc/made`,
		`^Next    Rebooting in 5m0s`,
		`^█[█▄ ]+█$`,
	} {
		r.says(vm, 0, want)
	}
	shown := r.line(vm, `^▀{20,}$`)
	if took := shown.At - failed.At; took > pageLimit {
		t.Errorf("the page took %v", took)
	} else {
		t.Logf("the page took %v", took)
	}
	r.lit(vm)
	mark := vm.Serial.Mark()
	r.must(vm.Reset(r.ctx))
	r.says(vm, mark, `wellcar-init: the boot before this one failed: .*conflict\.bu:8:7`)
}

// lit waits until a picture of the screen has a code: a part of it that is as
// bright as half of it is light.
func (r *rig) lit(vm *qemu.VM) {
	r.Helper()
	file := filepath.Join(r.ArtifactDir(), "screen.png")
	r.must(vm.Screendump(r.ctx, file))
	f, err := os.Open(file)
	r.must(err)
	defer f.Close()
	img, _, err := image.Decode(f)
	r.must(err)
	bounds, light := img.Bounds(), 0
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			if red, _, _, _ := img.At(x, y).RGBA(); red > 0x8000 {
				light++
			}
		}
	}
	if share := float64(light) / float64(bounds.Dx()*bounds.Dy()); share < 0.05 {
		r.Errorf("%.3f of the screen (%v) is light: there is no code on it", share, bounds.Max)
	}
}

// line waits for a line of the console and returns it with its time.
func (r *rig) line(vm *qemu.VM, pattern string) qemu.Line {
	r.Helper()
	line, err := vm.Serial.WaitAfter(r.ctx, 0, regexp.MustCompile(pattern))
	r.must(err)
	line.Text = strings.TrimSpace(line.Text)
	return line
}
