package kube

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tool makes a program that the module in dir pins, which Go keeps for the next
// time, and says where it is.
func tool(t *testing.T, dir, pkg string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-n", pkg)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), "CGO_ENABLED=0"), new(bytes.Buffer)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, cmd.Stderr)
	}
	return strings.TrimSpace(string(out))
}

// program is one that runs until the test ends or stop is called.
type program struct {
	log  string
	done chan struct{}
	stop func()
}

func run(t *testing.T, log string, env []string, name string, args ...string) *program {
	t.Helper()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), f, f
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	p := &program{log: log, done: make(chan struct{})}
	go func() { cmd.Wait(); close(p.done) }()
	p.stop = func() { stop(); <-p.done }
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s said last:\n%s", filepath.Base(name), tail(log))
		}
	})
	return p
}

// ready waits until a question is answered without an error.
func (p *program) ready(t *testing.T, ask func() error) {
	t.Helper()
	late := time.After(5 * time.Minute)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("the program ended: %v", err)
		case <-late:
			t.Fatalf("the program did not get ready: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func tail(name string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(data, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
}

// freePort is of an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
