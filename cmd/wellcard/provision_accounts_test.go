//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"wellcar.dev/internal/provision"
)

func TestShippedAccounts(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"passwd": "core:x:500:500::/home/core:/bin/bash\n", "group": "docker:x:233:\n"} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, report := provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"passwd":{"users":[{"name":"core","groups":["docker","none"]}]}}`), provision.LoadOptions{})
	if report.Err() != nil {
		t.Fatal(report)
	}
	users, groups, err := shippedAccounts(t.Context(), c, dir)
	if err != nil || users["core"].UID != 500 || groups["docker"] != 233 || len(groups) != 1 {
		t.Error(users, groups, err)
	}
	if users, groups, err = shippedAccounts(t.Context(), c, filepath.Join(dir, "none")); err != nil || users != nil || groups != nil {
		t.Error(users, groups, err)
	}
}
