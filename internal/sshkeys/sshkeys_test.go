package sshkeys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/layout"
)

const (
	one = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBls9RMWAugrSup6nsVAkYVouTllIVMHjjYXgtlWMsZK alice@laptop"
	two = `from="10.*" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKx3mJbbGMZDUrPxBX4rmiVIRJqJSmS2lQZ2VQ5a8P4y bob`
)

// change opens the keys, changes them and returns what is on disk.
func change(t *testing.T, home string, do func(*Set) error) map[string]string {
	t.Helper()
	s, err := Open(home, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := do(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err = filepath.WalkDir(filepath.Join(home, ".ssh"), func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			data, readErr := os.ReadFile(name)
			files[strings.TrimPrefix(name, home+"/.ssh/")], err = string(data), readErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestSets(t *testing.T) {
	home := t.TempDir()
	add := func(name, text string, mode Mode) func(*Set) error {
		return func(s *Set) error { return s.Add(name, Parse([]byte(text)), mode) }
	}
	got := change(t, home, add("cloud", "# x\n\n"+one+"\nnonsense\n", Replace))
	want := map[string]string{"authorized_keys": layout.MergedKeys + one + "\n", "authorized_keys.d/cloud": one + "\nnonsense\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = change(t, home, add("admin", two, Replace))
	if got["authorized_keys"] != layout.MergedKeys+two+"\n"+one+"\n" {
		t.Error(got)
	}
	got = change(t, home, func(s *Set) error {
		keys, err := s.Disable("cloud")
		if len(keys) != 2 {
			t.Error(keys)
		}
		return err
	})
	if text, ok := got["authorized_keys.d/cloud"]; !ok || text != "" || got["authorized_keys"] != layout.MergedKeys+two+"\n" {
		t.Error(got)
	}
	change(t, home, func(s *Set) error {
		if err := s.Add("cloud", Parse([]byte(one)), Replace); !errors.Is(err, ErrDisabled) {
			t.Error(err)
		}
		if err := s.Add("admin", Parse([]byte(one)), Keep); !errors.Is(err, ErrExists) {
			t.Error(err)
		}
		if err := s.Add("../x", Parse([]byte(one)), Keep); err == nil {
			t.Error("a path names a set")
		}
		return nil
	})
	got = change(t, home, add("cloud", one, Force))
	if got["authorized_keys"] != layout.MergedKeys+two+"\n"+one+"\n" {
		t.Error(got)
	}
	got = change(t, home, func(s *Set) error { s.Delete("cloud"); return nil })
	if _, ok := got["authorized_keys.d/cloud"]; ok || len(got) != 2 {
		t.Error(got)
	}
}

func TestOwnFileIsKept(t *testing.T) {
	home := t.TempDir()
	ssh := filepath.Join(home, ".ssh")
	if err := os.MkdirAll(filepath.Join(ssh, "authorized_keys.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"authorized_keys": two + "\n", "authorized_keys.d/ignition": one + "\n"} {
		if err := os.WriteFile(filepath.Join(ssh, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := change(t, home, func(*Set) error { return nil })
	want := map[string]string{
		"authorized_keys":            layout.MergedKeys + one + "\n" + two + "\n",
		"authorized_keys.d/ignition": one + "\n", "authorized_keys.d/old_authorized_keys": two + "\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoKeys(t *testing.T) {
	s, err := Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Write(); err == nil || !strings.Contains(err.Error(), "there are no keys") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(one + "\n" + two))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, k := range Parse(data) {
			if strings.ContainsAny(k.Line, "\n") {
				t.Errorf("%q", k.Line)
			}
		}
	})
}
