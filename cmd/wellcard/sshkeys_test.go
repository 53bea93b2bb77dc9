//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/sshkeys"
)

const aliceKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBls9RMWAugrSup6nsVAkYVouTllIVMHjjYXgtlWMsZK alice@laptop"

func TestKeyChanges(t *testing.T) {
	set, err := sshkeys.Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	var out bytes.Buffer
	for _, c := range []keyChange{
		{add: "cloud"}, {disable: "cloud"}, {add: "cloud"}, {force: "cloud"}, {add: "cloud", keep: true}, {list: true}, {remove: "cloud"},
	} {
		c.user, c.out, c.keys = "core", &out, sshkeys.Parse([]byte(aliceKey+"\nrubbish"))
		if err := c.change(set); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"Adding/updating cloud:\nSHA256:", "Skipping add cloud for core, disabled.", "Skipping add cloud for core, already exists.",
		"All keys for core:\ncloud:\nSHA256:", "Removing cloud:", `warning: "rubbish" is no public key`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestKeyFlags(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"update-ssh-keys", "-h"}, 0, "Usage: update-ssh-keys"},
		{[]string{"update-ssh-keys", "-a", "x", "-d", "y"}, 2, "only one of"},
		{[]string{"update-ssh-keys", "file"}, 2, `unexpected word "file"`},
		{[]string{"update-ssh-keys", "-u", "nobody-of-this-name", "-d", "x"}, 1, "finding the user nobody-of-this-name"},
		{[]string{"coreos-metadata"}, 2, "either --provider or --cmdline"},
		{[]string{"coreos-metadata", "multi", "--provider", "moon"}, 1, `platform "moon" has no metadata`},
	} {
		code, out, errOut := call(tc.args...)
		if code != tc.code || !strings.Contains(out+errOut, tc.want) {
			t.Errorf("%v: %d\n%s%s", tc.args, code, out, errOut)
		}
	}
	line := filepath.Join(t.TempDir(), "cmdline")
	if err := os.WriteFile(line, []byte("quiet\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "metadata/flatcar")
	if code, _, errOut := call("coreos-metadata", "--cmdline", "--cmdline-file", line, "--attributes", file); code != 0 || !strings.Contains(errOut, "has no metadata") {
		t.Error(code, errOut)
	}
	if text, err := os.ReadFile(file); err != nil || len(text) != 0 {
		t.Errorf("%q %v", text, err)
	}
}
