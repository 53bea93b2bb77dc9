package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestTry(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, file} {
		first, second := open(t, name), open(t, name)
		if err := Try(first); err != nil {
			t.Fatal(err)
		}
		if err := Try(first); err != nil {
			t.Errorf("the holder asks again: %v", err)
		}
		if err := Try(second); !errors.Is(err, syscall.EWOULDBLOCK) {
			t.Errorf("%s is locked, a second holder gets: %v", name, err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Try(second); err != nil {
			t.Errorf("after the holder closed it: %v", err)
		}
	}
}

func TestTryClosed(t *testing.T) {
	f := open(t, t.TempDir())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Try(f); err == nil {
		t.Error("a closed file was locked")
	}
}
