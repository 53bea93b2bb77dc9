package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigAndPlan(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := write("good.bu", "variant: flatcar\nversion: 1.1.0\nstorage:\n  files:\n    - path: /a\n      contents: {inline: x}\n")
	bad := write("bad.bu", "variant: flatcar\nversion: 1.1.0\nstorage:\n  files:\n    - path: a\n    - path: b\n")
	warn := write("warn.bu", "variant: flatcar\nversion: 1.1.0\nx: 1\n")
	old := write("old.ign", `{"ignition":{"version":"2.1.0"},"storage":{"files":[{"filesystem":"root","path":"/a","mode":420}]}}`)
	clc := write("c.yaml", "update:\n  group: stable\n")
	cloud := write("cloud.yml", "#cloud-config\nhostname: one\ncoreos:\n  units:\n    - name: a.service\n      command: start\n")
	warnCloud := write("warn.yml", "#cloud-config\nx: 1\n")
	embeds := write("embeds.ign", `{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"http://h/x"},{"source":"data:,%7B%22ignition%22:%7B%22version%22:%223.4.0%22%7D,%22storage%22:%7B%22files%22:%5B%7B%22path%22:%22b%22%7D%5D%7D%7D"}]}}}`)
	badCloud := write("bad.yml", "#cloud-config\nhostname: [one]\n")
	for _, c := range []struct {
		args      []string
		code      int
		out, errs string
	}{
		{[]string{"config", good}, exitOK, `"path":"/a"`, ""},
		{[]string{"config", bad}, exitFailed, "", bad + ":5:13: file a: the path is not absolute; begin it with /\n" + bad + ":6:13: file b"},
		{[]string{"config", bad}, exitFailed, "", "wellcar: " + bad + ": 2 errors"},
		{[]string{"config", warn}, exitOK, `"ignition"`, "warn.bu:3:1: warning: the key x is not known"},
		{[]string{"config", "--strict", warn}, exitFailed, "", "warn.bu:3:1: the key x is not known"},
		{[]string{"config", embeds}, exitFailed, "", "the config that ignition.config.merge[1] embeds: file b: the path is not absolute"},
		{[]string{"plan", "--offline", embeds}, exitFailed, "", "the config that ignition.config.merge[1] embeds: file b: the path is not absolute"},
		{[]string{"config", old}, exitOK, `"version":"3.1.0"`, ""},
		{[]string{"config", clc}, exitOK, "/etc/coreos/update.conf", ""},
		{[]string{"config", "--platform", "moon", clc}, exitUsage, "", "--platform moon: there is no such platform; known are akamai, "},
		{[]string{"config", "--platform", "akamai", clc}, exitOK, "/etc/coreos/update.conf", ""},
		{[]string{"plan", "--platform", "hetzner", clc}, exitOK, "write file    /etc/coreos/update.conf", ""},
		{[]string{"config", cloud}, exitOK, "", "nothing wrong was found"},
		{[]string{"config", warnCloud}, exitOK, "", "warn.yml:2:1: warning: there is no key x here"},
		{[]string{"config", "--strict", warnCloud}, exitFailed, "", "warn.yml:2:1: there is no key x here"},
		{[]string{"config", badCloud}, exitFailed, "", "bad.yml:2:11: hostname is not"},
		{[]string{"config", filepath.Join(dir, "none")}, exitUsage, "", "none: no such file"},
		{[]string{"config"}, exitUsage, "", "0 arguments are not what config takes; write wellcar config CONFIG"},
		{[]string{"config", "--schema"}, exitOK, `"kernelArguments"`, ""},
		{[]string{"plan", good}, exitOK, "write file    /a", ""},
		{[]string{"plan", bad}, exitFailed, "", "2 errors"},
		{[]string{"plan", old}, exitOK, old + ":1:53  write file", ""},
		{[]string{"plan", cloud}, exitOK, "start unit         a.service", ""},
		{[]string{"plan", "--image", filepath.Join(dir, "img"), good}, exitUsage, "", "reading what is in image"},
		{[]string{"plan", "--schema"}, exitOK, `"downloads"`, ""},
	} {
		code, out, errs := try(t.Context(), joins{}, "", c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
			t.Errorf("%q: status %d\nout %s\nerrors %s", c.args, code, out, errs)
		}
	}
}

func TestProblemsAsJSON(t *testing.T) {
	code, out, _ := try(t.Context(), joins{}, "variant: flatcar\nversion: 1.1.0\nstorage: {files: [{path: a}]}\n", "config", "--json", "-")
	var line struct {
		Event   string
		Problem struct {
			Severity, Message, File, Remedy, Path string
			Line, Column                          int
		}
	}
	if err := json.Unmarshal([]byte(strings.Split(out, "\n")[0]), &line); err != nil || code != exitFailed {
		t.Fatal(code, err, out)
	}
	if p := line.Problem; line.Event != "problem" || p.File != "-" || p.Line != 3 || p.Column != 26 || p.Path != "storage.files[0].path" {
		t.Errorf("%+v", line)
	}
}

func TestTranslateCloudConfig(t *testing.T) {
	ignition, _, err := translate("c.yml", []byte("#cloud-config\nhostname: x\n"))
	if err != nil || !strings.Contains(string(ignition), "/var/lib/flatcar-install/user_data") {
		t.Error(string(ignition), err)
	}
}
