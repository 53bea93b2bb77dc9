package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"wellcar.dev/internal/page"
	"wellcar.dev/internal/qemu"
)

// pageTester boots machines for pages.
type pageTester struct {
	host  *host
	opt   *testOptions
	accel qemu.Accel
}

// machine is a page's machine as QEMU knows it.
func (t pageTester) machine(m page.Machine) (out qemu.Machine, err error) {
	out = qemu.Machine{Memory: m.Memory, CPUs: cmp.Or(m.CPUs, qemu.ShareOfCPUs(runtime.NumCPU(), t.opt.machines)), TPM: m.TPM, NICs: m.NICs, Accel: t.accel, Firmware: qemu.Firmware(m.Firmware)}
	for _, size := range m.Disks {
		out.Disks = append(out.Disks, int64(size))
	}
	ensurePort(&out, 22)
	for _, port := range m.Ports {
		ensurePort(&out, port)
	}
	if m.Segment {
		out.Segment, err = qemu.FreeSegment()
	}
	return out, err
}

func (t pageTester) start(ctx context.Context, b page.Boot) (page.Session, error) {
	name, text, err := t.config(b)
	if err != nil {
		return nil, err
	}
	o := bootOptions{config: name, text: text, registry: b.Needs("registry")}
	if b.Machine.Cloud != "" {
		o.cloud = filepath.Join(filepath.Dir(b.Pages[0].File), b.Machine.Cloud)
	}
	if t.opt.logs != "" {
		if err := os.MkdirAll(t.opt.logs, 0o755); err != nil {
			return nil, fmt.Errorf("making the folder of consoles: %w", err)
		}
		o.log = filepath.Join(t.opt.logs, strings.NewReplacer("/", "_", ".md", "").Replace(b.Name)+".log")
	}
	m, err := t.machine(b.Machine)
	if err != nil {
		return nil, err
	}
	g, err := t.host.boot(ctx, m, o)
	if err != nil {
		return nil, err
	}
	s := &vmSession{guest: g, timeout: t.opt.timeout}
	if err := s.connect(ctx, 0); err != nil {
		g.close()
		return nil, err
	}
	return s, nil
}

// config joins the configs of a boot; nil if there is none.
func (t pageTester) config(b page.Boot) (string, []byte, error) {
	j := t.host.app.joins
	if len(b.Configs) < 2 {
		for _, c := range b.Configs {
			return c.Name, c.Data, nil
		}
		return "", nil, nil
	}
	if j.translate == nil || j.merge == nil {
		return "", nil, fmt.Errorf("joining the configs of %s: %w", b.Name, errNoEngine)
	}
	var parts [][]byte
	for _, c := range b.Configs {
		part, _, err := j.translate(c.Name, c.Data)
		if err != nil {
			return "", nil, err
		}
		parts = append(parts, part)
	}
	merged, err := j.merge(parts...)
	return b.Name, merged, err
}

// vmSession types commands into a machine over SSH.
type vmSession struct {
	guest   *guest
	client  *qemu.Client
	timeout time.Duration
}

func (s *vmSession) connect(ctx context.Context, since int) error {
	ctx, stop := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("the machine is not ready after %s", s.timeout))
	defer stop()
	client, err := s.guest.vm.SSH(ctx, "core", s.guest.key, since)
	if err != nil {
		return s.guest.diagnose(err)
	}
	s.client = client
	return nil
}

// typed is a command with both streams in one, in their order.
func typed(command string, root bool) string {
	command = "exec 2>&1\n" + command
	if root {
		return "sudo -n -- /bin/bash -c " + qemu.Quote(command)
	}
	return command
}

// Run connects again to a machine that has restarted by itself meanwhile.
func (s *vmSession) Run(ctx context.Context, command string, root bool) (page.Output, error) {
	r, err := s.client.Run(ctx, typed(command, root))
	if errors.Is(err, qemu.ErrGone) {
		s.client.Close()
		if err := s.connect(ctx, 1); err != nil {
			return page.Output{}, err
		}
		r, err = s.client.Run(ctx, typed(command, root))
	}
	return page.Output{Text: string(r.Stdout) + string(r.Stderr), Code: r.Code}, err
}

// Reboot waits for the first line of the next kernel, then for SSH. The
// connection may be cut at any time, or hang: only the console tells.
func (s *vmSession) Reboot(ctx context.Context, command string, root bool) error {
	serial := s.guest.vm.Serial
	mark := serial.Mark()
	limited, stop := context.WithTimeoutCause(ctx, s.timeout, errors.New("the machine did not reboot"))
	defer stop()
	limited, refuse := context.WithCancelCause(limited)
	defer refuse(nil)
	go func() {
		if r, err := s.client.Run(limited, typed(command, root)); err == nil && r.Code != 0 {
			refuse(fmt.Errorf("exit status %d: %s%s", r.Code, r.Stdout, r.Stderr))
		}
	}()
	_, err := serial.WaitAfter(limited, mark, qemu.Rebooted)
	if err != nil {
		return err
	}
	s.client.Close()
	return s.connect(ctx, mark)
}

func (s *vmSession) Env() []string {
	g := s.guest
	ssh := g.sshCommand("ConnectTimeout=30", "ServerAliveInterval=10") // a machine that restarts answers nothing
	env := []string{"SSH=" + ssh, "SSH_PORT=" + strconv.Itoa(g.vm.HostPort(22)), "SSH_KEY=" + g.keyFile, "MONITOR=" + g.vm.MonitorPath()}
	for _, p := range g.vm.Ports {
		env = append(env, fmt.Sprintf("PORT_%d=%d", p.Guest, p.Host))
	}
	if port := g.vm.Machine.Segment.Port; port != 0 {
		env = append(env, fmt.Sprintf("SEGMENT=%d", port))
	}
	return env
}

func (s *vmSession) Close() error {
	s.client.Close()
	s.guest.close()
	return nil
}
