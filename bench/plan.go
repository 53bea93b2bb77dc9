package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Lines of the config that is planned.
const planLines = 200

// planConfig is Butane of about planLines lines: users, files with contents
// of their own, units with drop-ins.
func planConfig() []byte {
	var b strings.Builder
	b.WriteString("variant: flatcar\nversion: 1.1.0\npasswd:\n  users:\n    - name: core\n      ssh_authorized_keys:\n        - ssh-ed25519 AAAA bench\n")
	b.WriteString("storage:\n  files:\n")
	for i := range 17 {
		fmt.Fprintf(&b, "    - path: /etc/bench/%02d.conf\n      mode: 0644\n      contents:\n        inline: |\n          number = %d\n", i, i)
	}
	b.WriteString("systemd:\n  units:\n")
	for i := 0; strings.Count(b.String(), "\n") < planLines; i++ {
		fmt.Fprintf(&b, "    - name: bench-%02d.service\n      enabled: true\n      contents: |\n        [Unit]\n        After=network-online.target\n"+
			"        [Service]\n        ExecStart=/usr/bin/sleep %d\n        [Install]\n        WantedBy=multi-user.target\n", i, i)
	}
	return []byte(b.String())
}

// plan measures `wellcar plan` with the image that was just built.
func (w *wellcar) plan(ctx context.Context, s *series, disk string) error {
	file := filepath.Join(w.dir, "plan.bu")
	if err := os.WriteFile(file, planConfig(), 0o644); err != nil {
		return fmt.Errorf("writing the config to plan: %w", err)
	}
	cmd := exec.CommandContext(ctx, w.program, "plan", "--offline", "--image", disk, file)
	u, _, err := run(ctx, cmd, filepath.Join(w.dir, "log", "plan"))
	if err != nil {
		return err
	}
	s.add(rowPlan, u.wall.Seconds())
	return nil
}
