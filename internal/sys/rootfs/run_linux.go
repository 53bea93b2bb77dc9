package rootfs

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path"
	"strings"
	"syscall"
)

// Run runs a program with the root as its root directory, so that it sees the
// root's accounts and configuration. The name is a path inside the root. What
// it wrote to stdout comes back; a failure carries its last line of stderr.
func (r *Root) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	var out, errOut bytes.Buffer
	c := exec.CommandContext(ctx, path.Clean("/"+name), args...)
	c.Dir = "/"
	c.Env = []string{"PATH=/usr/sbin:/usr/bin", "LC_ALL=C"}
	c.Stdout, c.Stderr = &out, &errOut
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: r.name}
	if err := c.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("running %s in %s: %w%s", name, r.name, err, lastLine(errOut.String()))
	}
	return out.Bytes(), nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	return ": " + s[strings.LastIndexByte(s, '\n')+1:]
}
