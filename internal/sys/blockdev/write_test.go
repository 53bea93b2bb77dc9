//go:build linux

package blockdev

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteBack(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteBack(name, []byte("code"), 4094); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || len(got) != 8192 || string(got[4093:4099]) != "\x00code\x00" {
		t.Errorf("%q, %v", got[4090:4100], err)
	}
	if err := WriteBack(name+"-none", []byte("code"), 0); err == nil {
		t.Error("a device that is not there took it")
	}
}
