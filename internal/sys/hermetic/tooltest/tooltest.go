// Package tooltest gives tests the reference tools (fsck.erofs, veritysetup,
// qemu-img ...) of the tool set that the environment variable WELLCAR_TOOLS
// names. Without it such a test is skipped, and its message says why; in CI
// with WELLCAR_TOOLS_REQUIRED=1 it fails instead.
package tooltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"wellcar.dev/internal/sys/hermetic"
)

// Variable names the folder of the tool set.
const Variable = "WELLCAR_TOOLS"

// Set returns the tool set, or ends the test.
func Set(t testing.TB) hermetic.Set {
	t.Helper()
	dir := os.Getenv(Variable)
	if dir == "" {
		missing(t, "%s is not set: the reference tools are not there", Variable)
	}
	if !filepath.IsAbs(dir) {
		t.Fatalf("%s=%s is not an absolute path", Variable, dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "usr")); err != nil {
		missing(t, "%s holds no tool set: %v", Variable, err)
	}
	return hermetic.Set{Dir: dir}
}

// Command prepares a reference tool, or ends the test if the set lacks it.
// The tool is killed when the test ends.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	s := Set(t)
	if !s.Has(name) {
		missing(t, "the tool set %s has no %s", s.Dir, name)
	}
	cmd, err := s.Command(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// Path is a file of the tool set, given relative to it, or ends the test if
// the set lacks it.
func Path(t testing.TB, rel string) string {
	t.Helper()
	name := Set(t).Path(rel)
	if _, err := os.Stat(name); err != nil {
		missing(t, "the tool set lacks a file: %v", err)
	}
	return name
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Getenv("WELLCAR_TOOLS_REQUIRED") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
