package provision_test

import (
	"strings"
	"testing"

	"wellcar.dev/internal/provision"
)

// TestKeysInOtherLetters are read by the reader of JSON all the same.
func TestKeysInOtherLetters(t *testing.T) {
	for text, want := range map[string]string{
		`{"ignition":{"version":"3.3.0"},"Storage":{"files":[{"path":"/a"}]}}`: "the key Storage is read as storage",
		`{"ignition":{"version":"3.3.0"},"storage":{"files":[{"Path":"/a"}]}}`: "the key storage.files[0].Path is read as path",
		`{"ignition":{"version":"3.3.0"},"storag":{}}`:                         "the key storag is not known here and is ignored",
		`{"ignition":{"version":"3.3.0"},"storage":null}`:                      "",
		`{"ignition":{"version":"3.3.0"},"passwd":{"users":null}}`:             "",
	} {
		_, report := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
		if len(report) > 1 || (len(report) == 1) != (want != "") || want != "" && !strings.Contains(report[0].Message, want) {
			t.Errorf("%s: %v", text, report)
		}
	}
	_, report := provision.Load("c.ign", []byte(`{"ignitionVersion":1,"storage":{"disks":[{"device":"/dev/vdb","partitions":[{"size":"20GB"}]}]}}`), provision.LoadOptions{})
	if len(report) != 1 || !strings.HasPrefix(report[0].Remedy, "write a whole number") {
		t.Error(report)
	}
}

// TestWhatReadersDrop is told, and what editors add is not in the way.
func TestWhatReadersDrop(t *testing.T) {
	const whole = `{"ignition":{"version":"3.3.0"}`
	if _, report := provision.Load("c.yaml", []byte("\ufeff#cloud-config\n"), provision.LoadOptions{}); !strings.Contains(report.Error(), "begins with a byte order mark") {
		t.Error(report)
	}
	for text, want := range map[string]string{
		"\ufeff" + whole + `}`: "",
		whole + `,"storage":{"files":[{"path":"/a"},{"path":"/b"}]}}`:     "",
		whole + `,"storage":{},"storage":{}}`:                             "c.ign:1:46: warning: the key storage stands here a second time",
		whole + `,"storage":{"files":[{"path":"/a","mode":1,"mode":2}]}}`: "c.ign:1:75: warning: the key mode stands here a second time",
		whole + ",\"storage\":{\"files\":[{\"path\":\"/\xff\"}]}}":        "c.ign:1:63: warning: this is no UTF-8",
	} {
		c, report := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
		got := ""
		if len(report) > 0 {
			got = report[0].String()
		}
		if !c.Provided() || len(report) > 1 || (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %s", text, got, want)
		}
	}
}
