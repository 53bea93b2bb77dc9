//go:build linux

package initrd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestFollowAccounts(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(file(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file(name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	boot := func(wantAdded []string, wantPasswd string) {
		t.Helper()
		added, err := FollowAccounts(file("upper"), file("lower"), file("var/accounts"))
		if err != nil || !slices.Equal(added, wantAdded) {
			t.Fatalf("added %q, %v; want %q", added, err, wantAdded)
		}
		got, _ := os.ReadFile(file("upper/passwd"))
		if string(got) != wantPasswd {
			t.Fatalf("passwd is %q, want %q", got, wantPasswd)
		}
	}
	write("lower/passwd", "root:x:0\ngames:x:9\n")
	boot(nil, "") // a new machine has no file of its own
	write("upper/passwd", "root:x:0\nanna:x:1000")
	boot(nil, "root:x:0\nanna:x:1000") // games was deleted by hand
	write("lower/passwd", "root:x:0\ngames:x:9\netcd:x:232\n")
	boot([]string{"passwd: etcd"}, "root:x:0\nanna:x:1000\netcd:x:232\n")
	write("upper/passwd", "root:x:0\n")
	boot(nil, "root:x:0\n") // and that deletion is kept too
	info, err := os.Stat(file("upper/passwd"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A machine from before the memory was kept gets everything that it lacks.
func TestMergeAccountsWithoutMemory(t *testing.T) {
	merged, added := mergeAccounts([]byte("root:x:0\n"), []byte("root:x:0:new\nsshd:x:215\n\n"), nil)
	if string(merged) != "root:x:0\nsshd:x:215\n" || !slices.Equal(added, []string{"sshd"}) {
		t.Errorf("%q, %q", merged, added)
	}
}
