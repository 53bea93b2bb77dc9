package legacy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	ignition "github.com/coreos/ignition/v2/config"
	"github.com/flatcar/ignition/config/v2_4"
	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision/legacy"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestConvertGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/convert/*.ign")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := show(t, data)
			golden := strings.TrimSuffix(name, ".ign") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// show is the outcome for people: notes, the config, where it came from.
func show(t *testing.T, data []byte) string {
	t.Helper()
	r, err := legacy.Convert(data)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "%v %v: %s; %s\n", n.Path, n.Error, n.Message, n.Remedy)
	}
	json.Indent(&b, r.JSON, "", "  ")
	b.WriteByte('\n')
	names := make([]string, 0, len(r.Origin))
	for name := range r.Origin {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s <- %v\n", name, r.Origin[name])
	}
	return b.String()
}

// TestReaderOfTheSpecAgrees holds the test data against the program that the
// spec was made for: it must take them too.
func TestReaderOfTheSpecAgrees(t *testing.T) {
	files, err := filepath.Glob("testdata/convert/*.ign")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, report, err := v2_4.Parse(data); err != nil {
			t.Errorf("%s: %v\n%s", name, err, report)
		}
	}
}

func TestFaults(t *testing.T) {
	storage := func(s string) string { return `{"ignition":{"version":"2.3.0"},"storage":` + s + `}` }
	for name, tc := range map[string]struct{ text, want string }{
		"sectors":        {storage(`{"disks":[{"device":"/d","partitions":[{"size":100}]}]}`), "storage.disks[0].partitions[0].size: 100 sectors of 512 bytes are no whole number of MiB"},
		"both sizes":     {storage(`{"disks":[{"device":"/d","partitions":[{"size":2048,"startMiB":1}]}]}`), "storage.disks[0].partitions[0] has sizes in sectors and in MiB"},
		"no mount":       {storage(`{"filesystems":[{"name":"a"}]}`), "file system a has neither mount nor path"},
		"mount and path": {storage(`{"filesystems":[{"name":"a","path":"/a","mount":{"device":"/d","format":"ext4"}}]}`), "file system a has both mount and path"},
		"soft create":    {storage(`{"filesystems":[{"name":"a","mount":{"device":"/d","format":"ext4","create":{}}}]}`), "file system a: create without force cannot be told from keeping what is there"},
		"create, wipe":   {storage(`{"filesystems":[{"name":"a","mount":{"device":"/d","format":"ext4","wipeFilesystem":true,"create":{"force":true}}}]}`), "file system a has both create and wipeFilesystem"},
		"create, option": {storage(`{"filesystems":[{"name":"a","mount":{"device":"/d","format":"ext4","options":["-f"],"create":{"force":true}}}]}`), "file system a has options in mount and in create"},
		"no filesystem":  {storage(`{"files":[{"path":"/a","mode":1}]}`), "file /a: the file system is missing"},
		"append twice":   {storage(`{"files":[{"filesystem":"root","path":"/a","mode":1,"append":true,"overwrite":true}]}`), "file /a has both append and overwrite"},
		"network name":   {`{"ignition":{"version":"2.0.0"},"networkd":{"units":[{"name":"a.conf"}]}}`, "network unit a.conf: the name has no suffix of a network unit"},
		"network text":   {`{"ignition":{"version":"2.0.0"},"networkd":{"units":[{"name":"a.network","contents":"[Match]\nx"}]}}`, `network unit a.network: bad unit syntax: "x" has no =`},
		"network dropin": {`{"ignition":{"version":"2.2.0"},"networkd":{"units":[{"name":"a.network","dropins":[{"name":"a"}]}]}}`, "drop-in a of network unit a.network: the name does not end in .conf"},
		"create, beside": {`{"ignition":{"version":"2.1.0"},"passwd":{"users":[{"name":"u","uid":1,"create":{}}]}}`, "user u has settings inside create and beside it"},
		"young key":      {`{"ignition":{"version":"2.1.0","proxy":{}}}`, "the key ignition.proxy is ignored in spec 2.1.0"},
		"unknown key":    {`{"ignition":{"version":"2.1.0"},"kernelArguments":{}}`, "the key kernelArguments is not known here and is ignored"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := legacy.Convert([]byte(tc.text))
			if err != nil || len(r.Notes) == 0 {
				t.Fatal("no note", err)
			}
			if diff := cmp.Diff(tc.want, r.Notes[0].Message); diff != "" {
				t.Error(diff)
			}
			if r.Notes[0].Error != (r.JSON == nil) {
				t.Error("an error and a config, or neither")
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		`{"ignitionVersion":1}`:                                "1",
		`{"ignitionVersion":2}`:                                "",
		`{"ignition":{"version":"2.0.0"}}`:                     "2.0.0",
		`{"ignition":{"version":"2.5.0-experimental"}}`:        "",
		`{"ignition":{"version":"3.0.0"},"ignitionVersion":1}`: "",
		`{"ignition":{"version":"2.4.0"},"ignitionVersion":1}`: "2.4.0",
		`{"ignition":{"version":2}}`:                           "",
		`{`:                                                    "",
	} {
		if got := legacy.Version([]byte(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// FuzzConvert compares with the reader of the spec: what it takes, we take or
// explain, and the outcome is a valid config of spec 3.
func FuzzConvert(f *testing.F) {
	files, _ := filepath.Glob("testdata/convert/*.ign")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if legacy.Version(data) == "" {
			return
		}
		if json.Unmarshal(data, legacy.Probe(legacy.Version(data))) != nil {
			return
		}
		r, err := legacy.Convert(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range r.Notes {
			if n.Message == "" || n.Remedy == "" {
				t.Errorf("a note without words: %+v", n)
			}
		}
		if _, _, err := v2_4.Parse(data); err != nil || r.JSON == nil {
			return
		}
		if _, report, err := ignition.Parse(r.JSON); err != nil && len(report.Entries) == 0 {
			t.Errorf("%v\n%s", err, r.JSON)
		}
	})
}
