package provision_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

func TestEarlierSpecsKeepPlaces(t *testing.T) {
	v2 := `{"ignition":{"version":"2.3.0"},` + "\n"
	for name, tc := range map[string]struct{ text, want string }{
		"sectors":      {v2 + `"storage":{"disks":[{"device":"/d","partitions":[{"size":100}]}]}}`, "c.ign:2:58: storage.disks[0].partitions[0].size: 100 sectors of 512 bytes are no whole number of MiB; write a multiple of 2048, such as 2048, or spec 2.3.0 and sizeMiB"},
		"mode":         {v2 + `"storage":{"files":[{"filesystem":"root","path":"/a","mode":"0644"}]}}`, "c.ign:2:61: file /a: mode is a JSON string; write a whole number without quotes (modes in decimal: 420 is 0644)"},
		"relative":     {v2 + `"storage":{"files":[{"filesystem":"root","path":"a","mode":420}]}}`, "c.ign:2:49: file a: the path is not absolute; begin it with /"},
		"unknown key":  {v2 + `"storage":{"files":[{"filesystem":"root","path":"/a","mode":420,"moed":1}]}}`, "c.ign:2:65: warning: the key storage.files[0].moed is not known here and is ignored; check its spelling and place, and the version of the config"},
		"format":       {v2 + `"storage":{"filesystems":[{"name":"x","mount":{"device":"/d","format":"ntfs"}}]}}`, "c.ign:2:71: file system on /d: the format is not known; use ext4, btrfs, xfs, vfat or swap, or none to wipe"},
		"unit":         {v2 + `"systemd":{"units":[{"name":"a.x"}]}}`, "c.ign:2:29: unit a.x: the name has no suffix of a unit; end it with .service, .timer, .mount or the like"},
		"spec 1, path": {`{"ignitionVersion":1,"storage":{"filesystems":[{"device":"/d","format":"ext4","files":[` + "\n" + `{"path":"/a","contents":"","mode":99999}]}]}}`, "c.ign:2:35: file /tmp/_translate-filesystem-0-ign1/a: the mode is not between 0 and 07777; in JSON write it in decimal (420 is 0644), in Butane with a leading 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, firstProblem("c.ign", tc.text, provision.LoadOptions{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestConvertedConfigsAreValid loads the test data of the conversion, so that
// the checks of spec 3 see the outcome.
func TestConvertedConfigsAreValid(t *testing.T) {
	files, err := filepath.Glob("legacy/testdata/convert/*.ign")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, report := provision.Load(name, data, provision.LoadOptions{}); report.Err() != nil {
			t.Error(report.Err())
		}
	}
}

func TestSourcesOnOEM(t *testing.T) {
	for name, text := range map[string]string{
		"3.x": `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/usr/share/oem/a","contents":{"source":"oem:\/\/\/a"}}]}}`,
		"2.x": `{"ignition":{"version":"2.2.0"},"storage":{"files":[{"filesystem":"oem","path":"/a","mode":420,"contents":{"source":"oem:///a"}}]}}`,
	} {
		c, report := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
		if err := report.Err(); err != nil {
			t.Error(name, err)
			continue
		}
		file := c.Ignition.Storage.Files[0]
		if got := *file.Contents.Source + " " + file.Path; got != "oem:///a /oem/a" {
			t.Errorf("%s: %s", name, got)
		}
	}
	headers := `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/a","contents":{"source":"oem:///a","httpHeaders":[{"name":"x","value":"y"}]}}]}}`
	if _, report := provision.Load("c.ign", []byte(headers), provision.LoadOptions{}); report.Err() == nil {
		t.Error("headers passed")
	}
}

func TestPositionsOfAllElements(t *testing.T) {
	text := `{"ignition":{"version":"2.3.0"},
"networkd":{"units":[{"name":"a.network",
"contents":"[Match]\n"}]}}`
	c, _ := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
	at := c.Positions()
	for element, want := range map[string]string{
		"storage.files[0]": "c.ign:2:22", "storage.files[0].contents.source": "c.ign:3:12", "ignition.version": "c.ign:1:24",
	} {
		if got := at[element].String(); got != want {
			t.Errorf("%s is at %s, want %s", element, got, want)
		}
	}
	if !strings.Contains(string(c.JSON), "/etc/systemd/network/a.network") {
		t.Error(string(c.JSON))
	}
}
