package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/release"
	"wellcar.dev/test/machine"
)

// TestCheckRelease names a release in each way that it can be named.
func TestCheckRelease(t *testing.T) {
	p := machine.NewPublisher(t)
	dir := p.Publish(t, machine.MakeImage(t, "1.1.0"))
	trust, err := release.ParseTrust(p.Trust)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var packed bytes.Buffer
	if err := release.WritePackage(&packed, read(release.ManifestFile), read(release.SignatureFile), bytes.NewReader(read("full.payload"))); err != nil {
		t.Fatal(err)
	}
	alone := t.TempDir()
	machine.Write(t, alone, "x.wcu", packed.Bytes())
	machine.Write(t, alone, "damaged.wcu", append(packed.Bytes()[:packed.Len()-1], packed.Bytes()[packed.Len()-1]^1))
	for name, want := range map[string]string{
		dir: "files", filepath.Join(dir, release.ManifestFile): release.ManifestFile, filepath.Join(dir, "full.payload"): "full.payload",
		filepath.Join(alone, "x.wcu"): "its manifest and full payload", filepath.Join(alone, "damaged.wcu"): "does not have the digest",
		filepath.Join(dir, release.SignatureFile): "has no file",
	} {
		m, what, err := checkRelease(name, name == dir, trust, release.Policy{Now: machine.Now}, nil)
		if err != nil {
			what = err.Error()
		}
		if !strings.Contains(what, want) || err == nil && m.Version != "1.1.0" {
			t.Errorf("%s: %s, want %s", name, what, want)
		}
	}
}
