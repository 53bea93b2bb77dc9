package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"wellcar.dev/internal/qemu"
)

// attend waits until the machine is ready, says so, and does what was asked.
func (g *guest) attend(ctx context.Context, a *app, o *runOptions) error {
	began := time.Now()
	var restore func()
	if o.console {
		var err error
		if ctx, restore, err = g.holdTerminal(ctx, a, endConsole); err != nil {
			return err
		}
		defer restore()
	}
	client, err := g.ready(ctx, a, o, began)
	if err != nil {
		return withCode(exitMachine, err)
	}
	defer func() { client.Close() }()
	if g.rollout != nil {
		limited, stop := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the update is not done after %s", o.timeout))
		defer stop()
		if client, err = g.follow(limited, a, o, g.rollout, client); err != nil {
			return withCode(exitMachine, err)
		}
	}
	switch {
	case o.exec != "":
		code, err := client.Stream(ctx, o.exec, a.in, a.out, a.err)
		if err != nil {
			return withCode(exitMachine, err)
		}
		if code != 0 {
			return exitError{code: code}
		}
		return nil
	case o.exitWhenReady:
		return nil
	}
	return g.stay(ctx, a, o)
}

// ready waits for SSH and for the HTTP check, then reports.
func (g *guest) ready(ctx context.Context, a *app, o *runOptions, began time.Time) (*qemu.Client, error) {
	limited, stop := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the machine is not ready after %s", o.timeout))
	defer stop()
	client, err := g.vm.SSH(limited, "core", g.key, 0)
	if err != nil {
		return nil, g.diagnose(err)
	}
	end, ok := g.vm.Boot.Reached("ssh")
	if !ok {
		end = time.Since(began)
	}
	spans := append(append([]qemu.Span(nil), g.spans...), g.vm.Boot.Spans(end)...)
	url, err := g.url(o)
	if err != nil {
		return nil, err
	}
	if url != "" {
		if err := waitHTTP(limited, url); err != nil {
			client.Close()
			return nil, g.diagnose(err)
		}
		spans = append(spans, qemu.Span{Name: "container", Took: max(time.Since(began)-end, 0)})
	}
	if o.exec == "" {
		g.report(a, url, spans)
	}
	return client, nil
}

// url is where the host finds what --wait-http names; "" if it names nothing.
func (g *guest) url(o *runOptions) (string, error) {
	if o.waitHTTP == "" {
		return "", nil
	}
	check, err := parseHTTP(o.waitHTTP)
	return fmt.Sprintf("http://127.0.0.1:%d%s", g.vm.HostPort(check.port), check.path), err
}

// diagnose adds what QEMU thinks of a machine that does not answer.
func (g *guest) diagnose(err error) error {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	if status, ask := g.vm.Status(ctx); ask == nil && status != "running" {
		return fmt.Errorf("%w\nQEMU's state of the machine: %s (try --accel tcg)", err, status)
	}
	return err
}

// httpPace is the pause between two tries; a server that comes up tells nobody.
const httpPace = 200 * time.Millisecond

// waitHTTP asks until a status below 400 comes.
func waitHTTP(ctx context.Context, url string) error {
	tick := time.NewTicker(httpPace)
	defer tick.Stop()
	for {
		last := askHTTP(ctx, url)
		if last == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; last: %w", url, context.Cause(ctx), last)
		}
	}
}

func askHTTP(ctx context.Context, url string) error {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)); err != nil {
		return err
	}
	if answer.StatusCode >= 400 {
		return fmt.Errorf("it answers %s", answer.Status)
	}
	return nil
}

func (g *guest) report(a *app, url string, spans []qemu.Span) {
	ssh := g.sshCommand()
	ports := map[string]int{}
	for _, p := range g.vm.Ports {
		ports[fmt.Sprint(p.Guest)] = p.Host
	}
	phases := g.vm.Boot.Phases()
	fields := map[string]any{"ssh": ssh, "ports": ports, "accel": g.vm.Machine.Accel, "spans": spanFields(spans),
		"phases": spanFields(phases), "monitor": g.vm.MonitorPath()}
	text := ssh + "\n" + spanTable(spans, phases)
	if url != "" {
		fields["url"] = url
		text = url + "\n" + text
	}
	a.show.result("ready", fields, text)
}

// spanFields are spans as --json shows them.
func spanFields(spans []qemu.Span) []map[string]any {
	fields := make([]map[string]any, len(spans))
	for i, s := range spans {
		fields[i] = map[string]any{"name": s.Name, "seconds": s.Took.Seconds()}
	}
	return fields
}

// spanTable shows where the time went; the initrd's phases stand below it.
func spanTable(spans, phases []qemu.Span) string {
	var b strings.Builder
	var sum time.Duration
	for _, s := range spans {
		fmt.Fprintf(&b, "%-14s %7.2f s\n", s.Name, s.Took.Seconds())
		sum += s.Took
		if s.Name != "initrd" {
			continue
		}
		for _, p := range phases {
			if p.Name != "provision" {
				fmt.Fprintf(&b, "  %-12s %7.2f s\n", p.Name, p.Took.Seconds())
			}
		}
	}
	fmt.Fprintf(&b, "%-14s %7.2f s", "total", sum.Seconds())
	return b.String()
}
