package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/archive"
)

const example1 = `variant: flatcar
version: 1.1.0
storage:
  files:
    - path: /srv/www/index.html
      mode: 0644
      contents:
        inline: |
          Hello
systemd:
  units:
    - name: hello.service
      enabled: true
      contents: |
        [Service]
        ExecStart=/usr/bin/docker run hello
`

func TestWorkload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hello.bu")
	if err := os.WriteFile(file, []byte(example1), 0o644); err != nil {
		t.Fatal(err)
	}
	w, config, err := loadWorkload(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Files) != 1 || w.Files[0].Contents.Inline != "Hello\n" {
		t.Errorf("files: %+v", w.Files)
	}
	if len(w.Units) != 2 || w.Units[0].Name != "hello.service" || !w.Units[0].Enabled || w.Units[1].Name != dockerUnit.Name {
		t.Errorf("units: %+v", w.Units)
	}
	again, err := parseWorkload("config", config)
	if err != nil || len(again.Units) != 3 || again.Units[1].Contents != dockerUnit.Contents {
		t.Errorf("the config for wellcar has units %+v, %v", again.Units, err)
	}
	if _, err := parseWorkload("x", []byte("storage:\n  disks: []\n")); err == nil {
		t.Error("a config that the peer cannot get is accepted")
	}
}

func TestWorkloadOfTheExample(t *testing.T) {
	if _, _, err := loadWorkload("../examples/hello.bu"); err != nil {
		t.Error(err)
	}
}

func TestPeerConfig(t *testing.T) {
	w, err := parseWorkload("example", []byte(example1))
	if err != nil {
		t.Fatal(err)
	}
	c := peerConfig{packages: []string{"bash", "chrony", "docker.io"}, work: w, key: "ssh-ed25519 AAAA\n",
		mirror: archive.Mirror{Debian: "http://one.example/debian", Security: "http://two.example/security"}}
	files := c.files()
	for name, want := range map[string]string{
		"mkosi.conf": "Packages=\n    bash\n    docker.io\n",
		"mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources":        "URIs: http://one.example/debian\nSuites: trixie",
		"mkosi.extra/srv/www/index.html":                            "Hello\n",
		"mkosi.extra/etc/systemd/system/hello.service":              "docker run hello",
		"mkosi.extra/usr/lib/systemd/system-preset/00-bench.preset": "enable hello.service\nenable bench-docker.service\ndisable *\n",
		"mkosi.extra/home/core/.ssh/authorized_keys":                "ssh-ed25519 AAAA\n",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s does not contain %q:\n%s", name, want, files[name])
		}
	}
	dir := t.TempDir()
	if err := c.write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mkosi.repart/10-root.conf")); err != nil {
		t.Error(err)
	}
}

func TestFreshCache(t *testing.T) {
	real := t.TempDir()
	for _, sub := range []string{"packages", "indexes", "unpacked"} {
		if err := os.Mkdir(filepath.Join(real, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := &wellcar{cache: real, dir: t.TempDir()}
	for range 2 {
		dir, err := w.freshCache()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "left"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := w.freshCache()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("a fresh cache has %v, %v; want packages and indexes", entries, err)
	}
}

func TestMissingProgramIsAReason(t *testing.T) {
	recipe := t.TempDir()
	_, err := newWellcar(context.Background(), filepath.Join(recipe, "none"), recipe, t.TempDir(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "running none") {
		t.Errorf("without the program: %v", err)
	}
}
