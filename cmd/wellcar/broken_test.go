package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBrokenConfigs holds `wellcar plan` to the sentences that a machine has
// for configs that cannot work.
func TestBrokenConfigs(t *testing.T) {
	const dir = "../../internal/provision/testdata/broken"
	text, err := os.ReadFile(filepath.Join(dir, "want.txt"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, want := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		name, _, _ := strings.Cut(want, ":")
		code, out, errOut := try(t.Context(), joins{}, "", "plan", "--offline", name)
		if told := out + errOut; code != 1 || !strings.Contains(told, want) {
			t.Errorf("%s: status %d\ngot  %s\nwant %s", name, code, told, want)
		}
	}
}
