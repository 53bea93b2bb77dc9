//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"wellcar.dev/internal/slot"

	"github.com/google/go-cmp/cmp"
)

func TestParseReset(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		fail bool
	}{
		{[]string{"--keep-paths", "/etc/ssh/ssh_host_.*", "/var/log", "--keep-machine-id", "-F", "x.ign"}, "/etc/ssh/ssh_host_.*|/var/log|/etc/machine-id", false},
		{[]string{"-K", "/a", "-K", "/b"}, "/a|/b", false},
		{nil, "", false},
		{[]string{"stray"}, "", true},
		{[]string{"-F", "a", "-U", "b"}, "", true},
		{[]string{"--nonsense"}, "", true},
	} {
		o, err := parseReset(c.args, &bytes.Buffer{})
		if (err != nil) != c.fail || err == nil && o.rule() != c.want {
			t.Errorf("%q: %q, %v", c.args, o.rule(), err)
		}
	}
}

func TestParseFlatcarUpdate(t *testing.T) {
	o, err := parseFlatcarUpdate([]string{"-V", "1.2.3", "--to-payload", "f", "-A", "-E", "x", "-L", "9090", "-D"}, &bytes.Buffer{})
	if err != nil || o != (updateOptions{version: "1.2.3", payload: "f", disable: true}) {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parseFlatcarUpdate([]string{"--offline", "f"}, &bytes.Buffer{}); err != nil || o != (updateOptions{payload: "f", offline: true}) {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{nil, {"--to-payload", "f"}} {
		if _, err := parseFlatcarUpdate(args, &bytes.Buffer{}); !errors.Is(err, errUsage) {
			t.Error(args, err)
		}
	}
}

func TestOfflineFault(t *testing.T) {
	bad := []slot.Bad{{Version: "0.3.0", Reason: "web is down"}}
	for version, want := range map[string]string{
		"0.2.1": "", "0.10.0": "",
		"0.2.0": "the release is 0.2.0, and 0.2.0 runs; to install it all the same, add --to-version 0.2.0",
		"0.1.9": "the release is 0.1.9, and 0.2.0 runs; to install it all the same, add --to-version 0.1.9",
		"0.3.0": "0.3.0 was given up: web is down; to install it all the same, add --to-version 0.3.0",
	} {
		got := ""
		if err := offlineFault("0.2.0", version, bad); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}

func TestDisableServer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "flatcar/update.conf")
	for _, want := range []string{"SERVER=disabled\n", "GROUP=beta\nSERVER=disabled\n"} {
		if err := disableServer(name); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if err := os.WriteFile(name, []byte("GROUP=beta\nSERVER=http://a\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDisableServerKeepsSecrets: settings may hold DOWNLOAD_PASSWORD.
func TestDisableServerKeepsSecrets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "update.conf")
	if err := os.WriteFile(name, []byte("DOWNLOAD_PASSWORD=word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := os.Getuid()
	if want == 0 {
		if want = 500; os.Chown(name, want, -1) != nil {
			want = 0 // this root may not
		}
	}
	if err := disableServer(name); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != want {
		t.Errorf("it belongs to %d, not to %d", st.Uid, want)
	}
}

func TestFlagsOfTheClient(t *testing.T) {
	got := underscored([]string{"--check-for-update", "-reset_status", "word-with-dash"})
	if diff := cmp.Diff([]string{"--check_for_update", "-reset_status", "word-with-dash"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestCgptOnAFile makes and changes a disk image.
func TestCgptOnAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	const guid = "7130C94A-213A-4E5A-8E26-6CCE9662F132"
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"create", name}, "", 0},
		{[]string{"add", "-i", "3", "-b", "4096", "-s", "1000", "-t", "flatcar-usr", "-l", "USR-A", "-u", guid, name}, "", 0},
		{[]string{"add", "-i3", "-S1", "-T", "0", "-P2", name}, "", 0},
		{[]string{"show", "-i", "3", "-P", name}, "2\n", 0},
		{[]string{"show", "-i", "3", "-l", name}, "USR-A\n", 0},
		{[]string{"find", "-n", "-t", "flatcar-usr", name}, "3\n", 0},
		{[]string{"find", "-t", "flatcar-resize", name}, "", 1},
		{[]string{"next", name}, guid + "\n", 0},
		{[]string{"prioritize", "-i", "x", name}, "", 1},
		{[]string{"prioritize", "-i", "", name}, "", 1},
		{[]string{"show", "-i", "x", name}, "", 1},
		{[]string{"show", "-i", "129", name}, "", 1},
		{[]string{"show", "-i", "3", "-P", name}, "2\n", 0}, // as it was
		{[]string{"show", "-i", "0x3", "-l", name}, "USR-A\n", 0},
		{[]string{"prioritize", "-i", "3", name}, "", 0},
		{[]string{"show", "-i", "3", "-P", name}, "1\n", 0},
		{[]string{"repair", name}, "", 0},
		{[]string{"resize", "-i", "3", name}, "", 1}, // the kernel does not know the file
		{[]string{"fly"}, "", 2},
		{[]string{"show"}, "", 1},
		{[]string{"create", name, name}, "", 1},
	} {
		var out, errOut bytes.Buffer
		code := run(t.Context(), append([]string{"cgpt"}, c.args...), &out, &errOut)
		if code != c.code || out.String() != c.want {
			t.Errorf("%q: %q, status %d: %s", c.args, out.String(), code, errOut.String())
		}
	}
}
