//go:build linux

package initrd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the machine's owner masks is not mounted behind the mask's back.
func TestKernelMountsRespectMasks(t *testing.T) {
	f := newFake(t, "flatcar.first_boot=0")
	mask := filepath.Join(f.root, etcDir, "systemd/system/sys-kernel-debug.mount")
	if err := os.MkdirAll(filepath.Dir(mask), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", mask); err != nil {
		t.Fatal(err)
	}
	if end := f.boot(nil); end != "handed over" {
		t.Fatal(end)
	}
	f.expect("mount mqueue", "mount tracefs")
	if slices.ContainsFunc(f.done, func(s string) bool { return strings.Contains(s, "debugfs") }) {
		t.Errorf("a masked mount was made: %v", f.done)
	}
}
