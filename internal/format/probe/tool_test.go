package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tool is a command of a reference tool.
// TODO(integration): tooltest.Command
func tool(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	if dir := os.Getenv("WELLCAR_TOOLS"); dir != "" {
		for _, bin := range []string{"usr/bin", "usr/sbin"} {
			if p := filepath.Join(dir, bin, name); exists(p) {
				return exec.Command(p, args...)
			}
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not here", name)
	}
	return exec.Command(p, args...)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
