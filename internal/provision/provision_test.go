package provision_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestPlanGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.ign")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(name, ".ign")+".txt", planText(t, filepath.Base(name), data))
		})
	}
}

func planText(t *testing.T, name string, data []byte) string {
	c, report := provision.Load(name, data, provision.LoadOptions{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range report {
		b.WriteString(p.String() + "\n")
	}
	plan, err := c.Plan(provision.DefaultFacts())
	if err != nil {
		t.Fatal(err)
	}
	return b.String() + provision.Render(plan)
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
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// Texts that are refused, or warned of, each with the line that is told.
func TestBroken(t *testing.T) {
	const v = `{"ignition":{"version":"3.4.0"},` + "\n"
	for name, tc := range map[string]struct{ text, want string }{
		"syntax":        {"{\"ignition\": {\n  \"version\": \"3.4.0\",\n}}", `c.ign:3:1: the text is not valid JSON: invalid character '}' looking for beginning of object key string; look for a missing or extra comma, quote or bracket there or just before`},
		"cut off":       {`{"ignition": {`, `c.ign:1:14: the text is not valid JSON: unexpected end of JSON input; look for a missing or extra comma, quote or bracket there or just before`},
		"no version":    {`{}`, `c.ign:1:1: the spec version is missing; write a version from 3.0.0 to 3.6.0`},
		"spec 1":        {`{"ignitionVersion": 3}`, `c.ign:1:21: 3 is not a known ignitionVersion; write 1, or begin a config of a newer spec with {"ignition": {"version": "3.4.0"}}`},
		"spec 2":        {`{"ignition": {"version": "2.5.0"}}`, `c.ign:1:26: "2.5.0" is not a known spec version; write 2.0.0, 2.1.0, 2.2.0, 2.3.0 or 2.4.0`},
		"spec 9":        {`{"ignition": {"version": "9.0.0"}}`, `c.ign:1:26: "9.0.0" is not a known spec version; write a version from 3.0.0 to 3.6.0`},
		"version type":  {`{"ignition": {"version": 3}}`, `c.ign:1:26: ignition.version is a JSON number; write a string in quotes`},
		"mode type":     {v + ` "storage":{"files":[{"path":"/a"},` + "\n" + `  {"path":"/b","mode":"0644"}]}}`, `c.ign:3:23: file /b: mode is a JSON string; write a whole number without quotes (modes in decimal: 420 is 0644)`},
		"list type":     {v + ` "storage":{"files":{"path":"/a"}}}`, `c.ign:2:21: storage.files is a JSON object; write a list: [ ... ]`},
		"relative path": {v + ` "storage":{"files":[{"path":"etc/x"}]}}`, `c.ign:2:30: file etc/x: the path is not absolute; begin it with /`},
		"dirty path":    {v + ` "storage":{"files":[{"path":"/etc/../x"}]}}`, `c.ign:2:30: file /etc/../x: the path is not in its simplest form; remove //, /./, /../ and a slash at the end`},
		"no path":       {v + ` "storage":{"files":[{"mode":420}]}}`, `c.ign:2:22: file without path (storage.files[0]): the path is missing; give an absolute path`},
		"mode":          {v + ` "storage":{"directories":[{"path":"/x","mode":4096}]}}`, `c.ign:2:48: directory /x: the mode is not between 0 and 07777; in JSON write it in decimal (420 is 0644), in Butane with a leading 0`},
		"twice":         {v + ` "storage":{"files":[{"path":"/x"},` + "\n" + `{"path":"/x"}]}}`, `c.ign:3:1: file /x: it is defined twice; keep one of the entries (the first is at c.ign:2:22)`},
		"twice, kinds":  {v + ` "storage":{"files":[{"path":"/x"}],` + "\n" + `"directories":[{"path":"/x"}]}}`, `c.ign:2:22: file /x: it is defined twice; keep one of the entries (the first is at c.ign:3:16)`},
		"under link":    {v + ` "storage":{"links":[{"path":"/l","target":"/t"}],"files":[{"path":"/l/x"}]}}`, `c.ign:2:60: file /l/x: the path leads through a link of this config; write the path that the link leads to`},
		"unit's path":   {v + ` "systemd":{"units":[{"name":"a.service","contents":"[Unit]"}]},"storage":{"files":[{"path":"/etc/systemd/system/a.service"}]}}`, `c.ign:2:93: file /etc/systemd/system/a.service: the path is that of a unit or drop-in of this config; keep only the entry under systemd.units`},
		"both owners":   {v + ` "storage":{"files":[{"path":"/x","user":{"id":1,"name":"a"}}]}}`, `c.ign:2:42: file /x: owner has both an id and a name; keep one of the two`},
		"no source":     {v + ` "storage":{"files":[{"path":"/x","overwrite":true}]}}`, `c.ign:2:47: file /x: overwrite is true, but there are no contents; give contents, or drop overwrite`},
		"bad hash":      {v + ` "storage":{"files":[{"path":"/x","contents":{"source":"data:,a","verification":{"hash":"md5-00"}}}]}}`, `c.ign:2:89: file /x: unknown kind of hash; use sha256 or sha512`},
		"short hash":    {v + ` "storage":{"files":[{"path":"/x","contents":{"source":"data:,a","verification":{"hash":"sha256-00"}}}]}}`, `c.ign:2:89: file /x: the hash has the wrong number of digits; sha256 has 64, sha512 has 128`},
		"wrong hash":    {v + ` "storage":{"files":[{"path":"/x","contents":{"source":"data:,a","verification":{"hash":"sha256-` + strings.Repeat("0", 64) + `"}}}]}}`, `c.ign:2:89: file /x: the content has another sha256: ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb; correct the hash; it is that of the uncompressed content`},
		"not gzip":      {v + ` "storage":{"files":[{"path":"/x","contents":{"source":"data:,abc","compression":"gzip"}}]}}`, `c.ign:2:82: file /x: the content is not gzip: unexpected EOF; correct the embedded content`},
		"scheme":        {v + ` "storage":{"files":[{"path":"/x","contents":{"source":"gopher://x"}}]}}`, `c.ign:2:56: file /x: nothing is known about this kind of source; use http, https, tftp, s3, arn, gs, oem or data`},
		"s3 packed":     {v + ` "storage":{"files":[{"path":"/x","contents":{"source":"s3://b/x","compression":"gzip"}}]}}`, `c.ign:2:81: file /x: content from S3 cannot be unpacked; store it uncompressed, and drop compression`},
		"http config":   {`{"ignition":{"version":"3.4.0","config":{"replace":{"source":"https://example.org/x"}}}}`, `c.ign:1:62: fetching https://example.org/x: it needs a network; embed it, or give it a network`},
		"bad child":     {`{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"data:,%7B"}]}}}`, `c.ign:1:51: the config that ignition.config.merge[0] embeds: the text is not valid JSON: unexpected end of JSON input; look for a missing or extra comma, quote or bracket there or just before`},
		"unit name":     {v + ` "systemd":{"units":[{"name":"a.conf"}]}}`, `c.ign:2:30: unit a.conf: the name has no suffix of a unit; end it with .service, .timer, .mount or the like`},
		"unit folder":   {v + ` "systemd":{"units":[{"name":"../../a.service"}]}}`, `c.ign:2:30: unit ../../a.service: this is no name of a file; write the name without folders and spaces`},
		"dropin name":   {v + ` "systemd":{"units":[{"name":"a.service","dropins":[{"name":"a"}]}]}}`, `c.ign:2:61: drop-in a of unit a.service: the name of a drop-in does not end in .conf; rename it to NAME.conf`},
		"unit syntax":   {v + ` "systemd":{"units":[{"name":"a.service",` + "\n" + `"contents":"[Service]\nExecStart"}]}}`, `c.ign:3:12: unit a.service: bad unit syntax: "ExecStart" has no =; write [Section] lines and Name=value lines`},
		"account name":  {v + ` "passwd":{"users":[{"name":"-o"}]}}`, `c.ign:2:29: user -o: this is no name of an account; use letters, digits, - and _, beginning with a letter`},
		"kargs":         {v + ` "kernelArguments":{"shouldExist":["quiet"]}}`, ``},
		"empty karg":    {v + ` "kernelArguments":{"shouldExist":["quiet", " "]}}`, `c.ign:2:45: an empty kernel argument; write a word, or leave the entry out`},
		"karg quotes":   {v + ` "kernelArguments":{"shouldNotExist":["a=\"b c"]}}`, `c.ign:2:39: the quotes of the kernel argument a="b c do not end; close the quotes`},
		"karg lines":    {v + ` "kernelArguments":{"shouldExist":["a\nb"]}}`, `c.ign:2:36: a kernel argument cannot have more than one line; write one entry for each line`},
		"karg fight":    {v + ` "kernelArguments":{"shouldExist":["a b"],"shouldNotExist":["b"]}}`, `c.ign:2:61: the kernel argument b is not to be there, but is part of a b, which is; leave one of the two out`},
		"unknown key":   {v + ` "storage":{"files":[{"path":"/x","moed":1}]}}`, `c.ign:2:35: warning: file /x: the key moed is not known here and is ignored; check its spelling and indentation, and the version of the config`},
		"no install":    {v + ` "systemd":{"units":[{"name":"a.service","enabled":true,"contents":"[Unit]"}]}}`, `c.ign:2:68: warning: unit a.service: it is enabled, but has no [Install] section, so nothing would start it; add [Install] with WantedBy=multi-user.target`},
		"special bits":  {v + ` "storage":{"files":[{"path":"/x","mode":2541}]}}`, `c.ign:2:42: warning: file /x: setuid, setgid and sticky bits are ignored before spec 3.6.0; raise the version, or drop the bits`},
		"read-only":     {v + ` "storage":{"files":[{"path":"/usr/x"}]}}`, `c.ign:2:30: file /usr/x: /usr is read-only on the machine; use /etc, /opt or /var`},
		"butane":        {"variant: flatcar\nversion: 1.1.0\n", `c.ign:1:1: this is Butane, which a machine does not read; translate it to Ignition JSON first: wellcar config FILE`},
		"prose":         {"hello", `c.ign:1:1: the text is no Ignition config, no Butane, no Container Linux Config and no cloud-config; begin Ignition JSON with {"ignition": {"version": "3.4.0"}}, Butane with variant: flatcar`},
		"old yaml":      {"systemd:\n  units: []\n", `c.ign:1:1: this is a Container Linux Config, which a machine does not read; translate it to Ignition JSON first: wellcar config FILE`},
		"cloud-config":  {"#cloud-config\nhostname: x\n", `c.ign: info: this is no Ignition config: nothing is provisioned from it`},
		"script":        {"#!/bin/sh\n", `c.ign: info: this is no Ignition config: nothing is provisioned from it`},
		"mime":          {"Content-Type: multipart/mixed; boundary=x\n\n", `c.ign: info: this is no Ignition config: nothing is provisioned from it`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, firstProblem("c.ign", tc.text, provision.LoadOptions{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// firstProblem loads and plans a text.
func firstProblem(name, text string, opt provision.LoadOptions) string {
	c, report := provision.Load(name, []byte(text), opt)
	if err := report.Err(); err != nil {
		return err.Error()
	}
	plan, err := c.Plan(provision.DefaultFacts())
	if err != nil {
		return err.Error()
	}
	for _, p := range append(report, plan.Warnings...) {
		return p.String()
	}
	return ""
}

func TestStrict(t *testing.T) {
	text := `{"ignition":{"version":"3.4.0"},"x":1}`
	if _, report := provision.Load("c.ign", []byte(text), provision.LoadOptions{Strict: true}); report.Err() == nil {
		t.Error("an unknown key passed")
	}
}

func TestSourceNamesUsersLines(t *testing.T) {
	bad := `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/a"},{"path":"/b","contents":{"source":"gopher://x"}}]}}`
	text := "variant: flatcar\nstorage:\n  files:\n    - path: /a\n    - path: /b\n      contents:\n        source: gopher://x\n"
	byName := provision.NewSource("my.bu", []byte(text), nil)
	exact := provision.NewSource("my.bu", []byte(text), provision.Positions{
		"storage.files[1].contents.source": {File: "my.bu", Line: 7, Column: 17},
		"storage.files[0].path":            {File: "other", Line: 1, Column: 1},
	})
	for _, s := range []provision.Source{byName, exact} {
		decoded, err := provision.DecodeSource(s.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got := firstProblem("fw_cfg", bad, provision.LoadOptions{Source: decoded})
		if !strings.HasPrefix(got, "my.bu:7:17: file /b: nothing is known") {
			t.Error(got)
		}
	}
}

func TestMergeKeepsPlaces(t *testing.T) {
	base, _ := provision.Load("base.ign", []byte(`{"ignition":{"version":"3.0.0"},"storage":{"files":[{"path":"/a","mode":384},{"path":"/b"}]}}`), provision.LoadOptions{})
	user, _ := provision.Load("user.ign", []byte(`{"ignition":{"version":"3.4.0"},
"storage":{"files":[{"path":"/c"},{"path":"/a","contents":{"source":"data:,x"}}]}}`), provision.LoadOptions{})
	plan, err := provision.Merge(base, user).Plan(provision.DefaultFacts())
	if err != nil {
		t.Fatal(err)
	}
	got := provision.Render(plan)
	for _, want := range []string{"base.ign:1:78  keep or create file  /b", "user.ign:2:21  keep or create file  /c", "0600 root:root, 1 byte, sha256"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestPlanJSON(t *testing.T) {
	data, err := os.ReadFile("testdata/plan/files.ign")
	if err != nil {
		t.Fatal(err)
	}
	c, _ := provision.Load("files.ign", data, provision.LoadOptions{})
	plan, err := c.Plan(provision.DefaultFacts())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/plan/files.json", string(text)+"\n")
}

func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/plan/*.ign")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{"variant: flatcar\n", "#cloud-config", "{", `{"ignition":{"version":"3.4.0"},"storage":{"links":[{"path":"/a"}]}}`, "\x1f\x8b"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, report := provision.Load("fuzz", data, provision.LoadOptions{})
		if report.Err() != nil {
			return
		}
		if _, err := c.Plan(provision.DefaultFacts()); err != nil {
			for _, p := range err.(provision.Report) {
				if p.Message == "" {
					t.Error("a problem without a message")
				}
			}
		}
	})
}
