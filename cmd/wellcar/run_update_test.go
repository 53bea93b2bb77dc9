package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/provision"
)

func TestStandingDecides(t *testing.T) {
	const slots = `"slots":{"A":{"state":"good"},"B":{"state":"trial"}}`
	for _, c := range []struct {
		name, boot, text string
		decided          bool
	}{
		{"the boot before", "1", `{"version":"2","slot":"A",` + slots + `}`, false},
		{"on trial", "2", `{"version":"2","slot":"B",` + slots + `}`, false},
		{"proved", "2", `{"version":"2","slot":"A",` + slots + `}`, true},
		{"back, not yet told", "2", `{"version":"1","slot":"A",` + slots + `,"givenUp":[{"version":"1.5","reason":"x"}]}`, false},
		{"back", "2", `{"version":"1","slot":"A",` + slots + `,"givenUp":[{"version":"2","reason":"x"}]}`, true},
	} {
		s := standing{boot: c.boot}
		if err := json.Unmarshal([]byte(c.text), &s); err != nil {
			t.Fatal(err)
		}
		if got := s.decided("1", "2"); got != c.decided {
			t.Errorf("%s: decided is %v", c.name, got)
		}
	}
}

// The machine's own settings and those of the run become one config.
func TestRolloutConfig(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u := &rollout{trust: []byte("key"), served: l}
	further, err := u.config()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{app: &app{joins: joins{translate: translate, merge: mergeConfigs}}}
	const text = "variant: flatcar\nversion: 1.1.0\nstorage:\n  files:\n    - path: /etc/flatcar/update.conf\n      overwrite: true\n      contents:\n        inline: GROUP=beta\n"
	for name, config := range map[string][]byte{"": nil, "a.bu": []byte(text)} {
		files, err := h.firmwareFiles(name, config, "ssh-ed25519 AAAA test", further)
		if err != nil {
			t.Fatal(err)
		}
		parsed, report := provision.Load(name, files[configName], provision.LoadOptions{})
		if err := report.Err(); err != nil {
			t.Fatal(err)
		}
		paths := map[string]string{}
		for _, f := range parsed.Ignition.Storage.Files {
			paths[f.Path] = *f.Contents.Source
		}
		if len(paths) != 2 || len(parsed.Ignition.Passwd.Users) != 1 || !strings.HasPrefix(paths["/etc/flatcar/update.conf"], "data:;base64,R1JPVVA9c3RhYmxl") {
			t.Errorf("with the config %q: %s", name, files[configName])
		}
	}
}

func TestUpdateFromRefusals(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"image": "not a disk", "old/wellcar.img": "neither"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for from, want := range map[string]string{
		"none": "--update-from: opening the disk image: open " + dir + "/none/",
		"old":  "--update-from: " + dir + "/old/wellcar.img is no disk image that can boot",
	} {
		_, err := prepareRollout(t.Context(), &app{}, filepath.Join(dir, from), filepath.Join(dir, "image"))
		if err == nil || !strings.HasPrefix(err.Error(), want) || exitCode(t.Context(), err) != exitUsage {
			t.Errorf("%s: %v, status %d", from, err, exitCode(t.Context(), err))
		}
	}
}
