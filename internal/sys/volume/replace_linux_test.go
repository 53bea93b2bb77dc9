package volume

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "grub.cfg")
	for _, text := range []string{"first", "second, and longer", "3"} {
		if err := os.WriteFile(name+newSuffix, []byte("of a cut"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Replace(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := os.Stat(name + newSuffix); err == nil {
			t.Error("the old file is still there")
		}
	}
	if err := Replace(filepath.Join(name, "x"), nil); err == nil {
		t.Error("a file below a file was made")
	}
}
