package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func pack(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParseEveryKey(t *testing.T) {
	data, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{data, pack(t, string(data))} {
		got, report := Parse("all.yaml", text, Values{PrivateIPv4: "10.0.0.7"})
		if report.Err() != nil || len(got.Parts) != 1 {
			t.Fatalf("%v", report)
		}
		want := &Config{
			Hostname: "web", SSHAuthorizedKeys: []string{"ssh-ed25519 AAAA a"}, ManageEtcHosts: "localhost",
			Users: []User{{Name: "alice", Passwd: "$6$x", Groups: []string{"sudo", "docker"}, SSHAuthorizedKeys: []string{"ssh-ed25519 BBBB b"}, NoCreateHome: true, System: true, Shell: "/bin/sh", Gecos: "Alice", Homedir: "/a", PrimaryGroup: "users", NoUserGroup: true, NoLogInit: true}},
			WriteFiles: []File{
				{Path: "/etc/a", Content: "10.0.0.7 $private_ipv4\n", Owner: "core:core", Permissions: "0600"},
				{Path: "/etc/b", Content: "hello"},
				{Path: "/opt/c", Content: "hello"},
			},
			CoreOS: CoreOS{
				Units: []Unit{
					{Name: "app.service", Enable: true, Command: "start", Content: "[Service]\nExecStart=/bin/true\n"},
					{Name: "old.service", Mask: true, Runtime: true, DropIns: []DropIn{{"10-a.conf", "[Service]\n"}}},
				},
				Update:    Update{"etcd-lock", "stable", "https://example.com/"},
				OEM:       OEM{"x", "X", "1", "https://x/", "https://x/bugs"},
				Etcd2:     map[string]string{"name": "n1", "heartbeat_interval": "100", "debug": "true"},
				Flannel:   map[string]string{"interface": "10.0.0.7"},
				Locksmith: map[string]string{"window_start": "Thu 04:00", "window_length": "1h"},
				Fleet:     map[string]string{"verbosity": "1"},
			},
		}
		if diff := cmp.Diff(want, got.Parts[0].Config); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestParseProblems(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"#cloud-config\nhostnam: x\n", "f:2:1: warning: there is no key hostnam here, it is ignored"},
		{"#cloud-config\nusers: x\n", "f:2:8: users is not a list"},
		{"#cloud-config\n- x\n", "f:2:1: the text is not a mapping"},
		{"#cloud-config\na: [\n", "f:2:1: the YAML cannot be read"},
		{"#cloud-config\nwrite_files:\n  - path: /usr/bin/x\n", "f:3:11: file /usr/bin/x cannot be written: /usr is read-only; choose"},
		{"#cloud-config\nwrite_files:\n  - path: etc\n", `f:3:5: file "etc" has no absolute path`},
		{"#cloud-config\nwrite_files:\n  - path: /x\n    permissions: rw\n", `f:4:18: permissions has the value "rw"; write octal digits`},
		{"#cloud-config\nwrite_files:\n  - path: /x\n    encoding: zip\n", `f:4:15: encoding has the value "zip"; write one of base64`},
		{"#cloud-config\nwrite_files:\n  - path: /x\n    encoding: b64\n    content: '!'\n", "f:5:14: the content of file /x: it is not base64"},
		{"#cloud-config\ncoreos:\n  write_files: []\n", "f:3:3: warning: write_files does not belong under coreos"},
		{"#cloud-config\ncoreos:\n  units:\n    - name: a.service\n      command: boot\n", `f:5:16: command has the value "boot"; write one of start`},
		{"#cloud-config\ncoreos:\n  units:\n    - name: app\n", `f:4:7: a unit has the name "app"`},
		{"#cloud-config\ncoreos:\n  etcd2:\n    name: n\n", "f:3:3: warning: etcd2 is deprecated"},
		{"#cloud-config\ncoreos:\n  update:\n    reboot-strategy: never\n", `f:4:22: reboot-strategy has the value "never"`},
		{"#cloud-config\nusers:\n  - groups: [a]\n", "f:3:5: a user has no name"},
		{"#cloud-config\nmanage_etc_hosts: true\n", `f:2:19: manage_etc_hosts has the value "true"; write localhost`},
		{"#cloud-config\nusers: &a [*a]\n", "f:1:1: the YAML cannot be read: anchor 'a' value contains itself"},
		{"hello\n", "f:1:1: the text is neither a cloud-config nor a script nor a MIME message"},
		{"\x1f\x8bxx", "f: the text: it is not gzip"},
		{"Content-Type: multipart/mixed\n\nx\n", "f:1:1: the MIME message has no boundary"},
		{"#cloud-config\nusers:\n  - name: bad name\n", `f:3:11: warning: useradd refuses the user name "bad name"`},
		{"#cloud-config\nruncmd: [ls]\n", "f:2:1: warning: there is no key runcmd here, it is ignored; write a unit"},
		{"{\"ignition\": {\"version\": \"3.0.0\"}}", "f:1:1: info: an Ignition config is left to the first boot"},
	} {
		_, report := Parse("f", []byte(tc.text), Values{})
		if len(report) != 1 || !strings.HasPrefix(report[0].String(), tc.want) {
			t.Errorf("%q: %v\nwant %s", tc.text, report, tc.want)
		}
		if report[0].Remedy == "" && report[0].Severity != Info {
			t.Errorf("%q: %v has no remedy", tc.text, report)
		}
	}
}

// TestPlaces finds values in a text, one below an alias and one that is left
// out included.
func TestPlaces(t *testing.T) {
	text := "Content-Type: multipart/mixed; boundary=\"XX\"\n\n--XX\nContent-Type: text/cloud-config\n\n" +
		"hostname: a\ncoreos:\n  units:\n    -\n    - name: a.service\n      content: |\n        [Service]\n        ExecStart\n--XX--\n"
	got, report := Parse("m", []byte(text), Values{})
	if report.Err() != nil || len(got.Parts) != 1 {
		t.Fatal(got, report)
	}
	places := got.Parts[0].Places
	for name, want := range map[string]string{
		"hostname": "m:6:11", "coreos.units[0]": "m:10:7", "coreos.units[0].content": "m:11:16",
		"coreos.units[0].drop_ins[0].content": "m:10:7", "nothing": "m:6:1",
	} {
		file, line, column := places.At(name)
		if got := fmt.Sprintf("%s:%d:%d", file, line, column); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if file, line, column := places.Within("coreos.units[0].content", 2); file != "m" || line != 13 || column != 9 {
		t.Error(file, line, column)
	}
}

func TestParseMessage(t *testing.T) {
	text := "Content-Type: multipart/mixed; boundary=\"XX\"\nMIME-Version: 1.0\n\n" +
		"--XX\nContent-Type: text/cloud-config\n\nhostname: a\nnope: 1\n" +
		"--XX\nContent-Type: text/x-shellscript; name=run.sh\n\n#!/bin/sh\necho $public_ipv4\n" +
		"--XX\nContent-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n" +
		base64.StdEncoding.EncodeToString(pack(t, "#cloud-config\nhostname: b\n")) + "\n" +
		"--XX\nContent-Type: text/x-shellscript\n\necho\n--XX--\n"
	got, report := Parse("m", []byte(text), Values{PublicIPv4: "1.2.3.4"})
	want := UserData{Parts: []Part{
		{Name: "cloud-config.yaml", Config: &Config{Hostname: "a"}},
		{Name: "run.sh", Script: []byte("#!/bin/sh\necho 1.2.3.4")},
		{Name: "cloud-config.yaml", Config: &Config{Hostname: "b"}},
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(Places{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(report) != 2 || report[0].Line != 8 || report[1].Line != 22 {
		t.Errorf("%v", report)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("Content-Type: multipart/mixed; boundary=X\n\n--X\n\n#!/bin/sh\n--X--\n"))
	f.Add([]byte("#cloud-config\na: &a [*a]\n"))
	f.Add([]byte("#cloud-config\nusers: &a\n - &b\n  name: x\n - *b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, report := Parse("f", data, Values{})
		for _, p := range report {
			if p.Message == "" || strings.Contains(p.Message, "BUG") {
				t.Errorf("%v", p)
			}
		}
		for _, part := range got.Parts {
			if (part.Config == nil) == (part.Script == nil) {
				t.Errorf("%+v", part)
			}
		}
	})
}
