package clc_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/clc"
)

var update = flag.Bool("update", false, "write the golden files anew")

func load(name, text, platform string) (provision.Config, provision.Report) {
	return provision.Load(name, []byte(text), provision.LoadOptions{FilesDir: "testdata/files", CLC: clc.Translator(platform)})
}

// TestPlaces shows where each element of the config lies in the user's text.
func TestPlaces(t *testing.T) {
	data, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, report := load("all.yaml", string(data), "ec2")
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	at := c.Positions()
	for element, want := range map[string]string{
		"passwd.users[0].sshAuthorizedKeys[0]":        "all.yaml:6:11",
		"passwd.users[1].uid":                         "all.yaml:9:14",
		"storage.disks[0].partitions[0].sizeMiB":      "all.yaml:21:17",
		"storage.filesystems[0].device":               "all.yaml:26:17",
		"storage.filesystems[0].path":                 "all.yaml:24:13",
		"storage.files[0].contents.source":            "all.yaml:34:17",
		"storage.files[1].contents.source":            "all.yaml:38:16",
		"storage.files[2].contents.source":            "all.yaml:44:16",
		"storage.files[2].contents.verification.hash": "all.yaml:47:15",
		"storage.files[3].path":                       "all.yaml:83:1", // update.conf
		"storage.files[4].contents.source":            "all.yaml:73:17",
		"systemd.units[0]":                            "all.yaml:76:1", // docker
		"systemd.units[1]":                            "all.yaml:79:1", // etcd
		"systemd.units[2].contents":                   "all.yaml:59:17",
	} {
		if got := at[element].String(); got != want {
			t.Errorf("%s is at %s, want %s", element, got, want)
		}
	}
	golden(t, "testdata/all.json", string(c.JSON)+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestBroken(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"not yaml":   {"storage:\n  files: [\n", "c.yaml:2:3: the text is not valid YAML: did not find expected node content; look at the indentation and for a missing colon or quote, there or just before"},
		"type":       {"storage:\n  files:\n    - path: /a\n      mode: rw\n", `c.yaml:4:13: storage.files[0].mode is the text "rw"; write a whole number without quotes (a mode begins with 0)`},
		"key":        {"storage:\n  files:\n    - path: /a\n      mode: 0644\n      moed: 1\n", "c.yaml:5:7: warning: the key moed is not known here and is ignored; check its spelling and indentation, and the version of the config"},
		"no mode":    {"storage:\n  files:\n    - path: /a\n", "c.yaml:3:7: warning: file /a: the mode is missing and becomes 0644; write mode: 0644"},
		"path":       {"storage:\n  files:\n    - path: a\n      mode: 0644\n", "c.yaml:3:13: file a: the path is not absolute; begin it with /"},
		"two":        {"storage:\n  files:\n    - path: /a\n      mode: 0644\n      contents:\n        inline: x\n        local: y\n", "c.yaml:6:9: file /a: there is more than one of inline, local and remote; keep one"},
		"no local":   {"storage:\n  files:\n    - path: /a\n      mode: 0644\n      contents:\n        local: y\n", "c.yaml:6:16: file /a: there is no file testdata/files/y; correct the name; it begins at the folder of the config, or at --files-dir"},
		"size":       {"storage:\n  disks:\n    - device: /dev/vdb\n      partitions:\n        - size: 10000\n", "c.yaml:5:17: disk /dev/vdb: units: unknown unit  in 10000; write it as 512MiB or 10GiB"},
		"unit":       {"systemd:\n  units:\n    - name: a.service\n      contents: |\n        [Service]\n        ExecStart\n", `c.yaml:6:9: unit a.service: bad unit syntax: "ExecStart" has no =; write [Section] lines and Name=value lines`},
		"group":      {"update:\n  group: gamma\n", "c.yaml:2:3: warning: update: the group is none of stable, beta and alpha, and there is no server; give server, or one of the groups"},
		"strategy":   {"locksmith:\n  reboot_strategy: never\n", "c.yaml:2:20: locksmith.reboot_strategy: the reboot strategy is not known; write reboot, etcd-lock or off"},
		"window":     {"locksmith:\n  window_start: 04:00\n", "c.yaml:2:3: locksmith: of window_start and window_length one is missing; give both or neither"},
		"template":   {"etcd:\n  name: \"{HOSTNAME}\"\n", "c.yaml:2:9: etcd.name: there is no platform to take {HOSTNAME} from; name the platform with --platform"},
		"old etcd":   {"etcd:\n  version: 1.0.0\n", "c.yaml:2:12: etcd.version: the version is older than 2.3.0, the oldest that can be translated; write 3.5.0"},
		"no version": {"\nflannel:\n  version: 9\n", `c.yaml:3:12: flannel.version: 9 is no version of three numbers; write it as "0.7.0"`},
		"nowhere":    {"storage:\n  files:\n    - path: /x\n      mode: 0644\n      filesystem: there\n", "c.yaml:5:19: warning: file /x: there is no file system there here; write filesystem: root, or name it under storage.filesystems if no other config does"},
		"format":     {"storage:\n  filesystems:\n    - name: a\n      mount: {device: /dev/sdc, format: zfs}\n", "c.yaml:4:14: file system a: the format is not known; use ext4, btrfs, xfs, vfat or swap, or none to wipe"},
		"both":       {"storage:\n  filesystems:\n    - name: a\n      path: /x\n      mount: {device: /dev/sdc, format: ext4}\n", "c.yaml:3:7: file system a: it has both mount and path; keep one of the two"},
		"network":    {"networkd:\n  units:\n    - name: a.network\n      contents: |\n        [Match]\n        x\n", `c.yaml:6:9: network unit a.network: bad unit syntax: "x" has no =; write [Section] lines and Name=value lines`},
		"suffix":     {"networkd:\n  units:\n    - name: a.conf\n", "c.yaml:3:13: network unit a.conf: the name has no suffix of a network unit; end it with .network, .netdev or .link"},
		"json":       {"flannel:\n  network_config: x\n", "c.yaml:2:19: flannel.network_config: the value is no JSON; write it as '{\"Network\": \"10.0.0.0/16\"}'"},
		"create":     {"passwd:\n  users:\n    - name: a\n      create: {uid: 600}\n", "c.yaml:3:7: warning: user a: create is the older form; move its keys up and drop it"},
		"machine":    {"systemd: {}\n", ""},
		"ignition":   {"ignition:\n  version: 3.0.0\n", `c.yaml:1:1: this is an Ignition config written as YAML; write it as JSON, or as Butane with variant: flatcar and version: 1.1.0`},
		"unvariant":  {"version: 1.1.0\nstorage: {}\n", `c.yaml:1:1: this is Butane, which a machine does not read; translate it to Ignition JSON first: wellcar config FILE`},
	} {
		t.Run(name, func(t *testing.T) {
			_, report := load("c.yaml", tc.text, "")
			got := ""
			if len(report) > 0 {
				got = report[0].String()
			}
			if err := report.Err(); err != nil {
				got = strings.Split(err.Error(), " (and ")[0]
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMadeUnits has units of sections and of the platform in front of the
// user's: the user's unit that is at fault is named, and once.
func TestMadeUnits(t *testing.T) {
	text := "docker:\n  flags: [x]\nsystemd:\n  units:\n    - name: %s\n      contents: \"%s\"\n      enable: true\n" +
		"    - name: good.service\n      contents: \"[Service]\"\n"
	for _, platform := range []string{"", "openstack-metadata"} {
		for _, tc := range []struct{ name, contents, want string }{
			{"bad", "[Servic", `c.yaml:5:13: unit bad: the name has no suffix of a unit; end it with .service, .timer, .mount or the like
c.yaml:6:17: unit bad: bad unit syntax: "[Servic" has no closing bracket; write [Section] lines and Name=value lines
`},
			{"a.service", "[Service]", "c.yaml:6:17: warning: unit a.service: it is enabled, but has no [Install] section, so nothing would start it; " +
				"add [Install] with WantedBy=multi-user.target\n"},
		} {
			_, report := load("c.yaml", fmt.Sprintf(text, tc.name, tc.contents), platform)
			got := ""
			for _, p := range report {
				got += p.String() + "\n"
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s on %q: %s", tc.name, platform, diff)
			}
		}
	}
}

// TestPlatforms takes any platform for a config that has no need of one.
func TestPlatforms(t *testing.T) {
	for _, p := range append(clc.Platforms(), "hetzner") {
		if _, report := load("c.yaml", "update:\n  group: stable\n", p); report.Err() != nil {
			t.Error(p, report)
		}
	}
	_, report := load("c.yaml", "etcd:\n  name: \"{HOSTNAME}\"\n", "hetzner")
	if len(report) != 1 || !strings.HasPrefix(report[0].String(), "c.yaml:2:9: etcd.name: {HOSTNAME} is not known on platform hetzner; write the value itself") {
		t.Error(report)
	}
}

// TestBraces names each value in braces that the platform has not, and not
// those of other sections.
func TestBraces(t *testing.T) {
	text := "networkd:\n  units:\n    - name: a.network\n      contents: \"{PRIVATE_IPV4}\"\netcd:\n  name: \"{HOSTNAME}-{FOO}\"\n  proxy: \"{HOSTNAME}\"\n" +
		"flannel:\n  network_config: '{}'\n  public_ip: \"{PUBLIC_IPV6}\"\n"
	const choices = "use {HOSTNAME}, {PRIVATE_IPV4}, {PUBLIC_IPV4}, or write the value itself"
	for platform, want := range map[string][]string{
		"ec2": {"c.yaml:6:9: etcd.name: {FOO} is not known on platform ec2; " + choices, "c.yaml:10:14: flannel.public_ip: {PUBLIC_IPV6} is not known on platform ec2; " + choices},
		"": {"c.yaml:6:9: etcd.name: there is no platform to take {HOSTNAME} from; name the platform with --platform",
			"c.yaml:7:10: etcd.proxy: there is no platform to take {HOSTNAME} from; name the platform with --platform",
			"c.yaml:10:14: flannel.public_ip: there is no platform to take {PUBLIC_IPV6} from; name the platform with --platform"},
	} {
		_, report := load("c.yaml", text, platform)
		var got []string
		for _, p := range report {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", platform, diff)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	data, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("storage:\n  files:\n    - path: /a\n"))
	f.Add([]byte("systemd:\n  units: [{name: a.service}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, report := load("fuzz", string(data), "ec2")
		for _, p := range report {
			if p.Message == "" {
				t.Error("a problem without a message")
			}
		}
	})
}
