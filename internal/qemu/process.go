package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child in a process group of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // valid after done: nil for exit status 0
	out  tailBuffer    // what it said
}

// spawn starts a program of the tool set. files become its descriptors 3, 4, ...
// The group is killed when ctx ends.
func spawn(ctx context.Context, tools Tools, env []string, files []*os.File, name string, args ...string) (*process, error) {
	cmd, err := tools.Command(ctx, name, args...)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	cmd.SysProcAttr = ownGroup()
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	if len(env) > 0 {
		if cmd.Env == nil {
			cmd.Env = os.Environ()
		}
		cmd.Env = append(cmd.Env, env...)
	}
	cmd.Cancel = p.kill
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) kill() error {
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// stop kills the group and waits for the end.
func (p *process) stop() {
	select {
	case <-p.done:
	default:
		_ = p.kill()
		<-p.done
	}
}

// failure says why the process is gone, with its own last words.
func (p *process) failure() error {
	said := strings.TrimSpace(p.out.String())
	if said == "" {
		said = "it said nothing"
	}
	if p.err == nil {
		return fmt.Errorf("%s ended: %s", p.name, said)
	}
	return fmt.Errorf("%s ended (%w): %s", p.name, p.err, said)
}

// tailBuffer keeps the last 8 KiB written to it.
type tailBuffer struct {
	mu  sync.Mutex
	buf []byte
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p...)
	if over := len(b.buf) - 8<<10; over > 0 {
		b.buf = bytes.Clone(b.buf[over:])
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.buf)
}
