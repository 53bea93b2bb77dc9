//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

// TestKeyFilesOfOEM reads a key after the partition that has it was unmounted.
func TestKeyFilesOfOEM(t *testing.T) {
	config, report := provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"storage":{"luks":[
{"name":"a","device":"/dev/vdb","keyFile":{"source":"oem:///keys/a"}},{"name":"b","device":"/dev/vdc","keyFile":{"source":"data:,b"}},
{"name":"c","device":"/dev/vdd","keyFile":{"source":"oem:///none"}},{"name":"d","device":"/dev/vde"}]}}`), provision.LoadOptions{})
	if report.Err() != nil {
		t.Fatal(report)
	}
	plan, err := config.Plan(provision.DefaultFacts())
	if err != nil {
		t.Fatal(err)
	}
	names := oemKeys(plan)
	if diff := cmp.Diff([]string{"keys/a", "none"}, names); diff != "" {
		t.Fatal(diff)
	}
	oem, memory := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(oem, "keys"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(oem, "keys/a"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &provisioning{}
	p.setOEM(oem)
	fetcher := p.fetcher(true)
	if err := p.keepKeyFiles(memory, names); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(oem); err != nil {
		t.Fatal(err)
	}
	var key bytes.Buffer
	if err := fetcher.Fetch(t.Context(), provision.Request{URL: "oem:///keys/a"}, &key); err != nil || key.String() != "secret" {
		t.Errorf("%q, %v", key.String(), err)
	}
	if err := p.closeAll(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(memory); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
