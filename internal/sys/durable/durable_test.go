package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	for _, text := range []string{"one", "two"} {
		if err := WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("the mode is %v, %v", fi.Mode(), err)
	}
	onlyFile(t, name)
}

func TestAbort(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	if err := WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Create(name, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("half")
	f.Abort()
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Commit after Abort: %v", err)
	}
	if got, _ := os.ReadFile(name); string(got) != "old" {
		t.Errorf("got %q", got)
	}
	onlyFile(t, name)
}

func TestFailedCommitLeavesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	if err := os.MkdirAll(filepath.Join(name, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(name, nil, 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	onlyFile(t, name)
	if err := WriteFile(filepath.Join(name, "no", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// onlyFile checks that no temporary file stayed beside name.
func onlyFile(t *testing.T, name string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(name) {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}
