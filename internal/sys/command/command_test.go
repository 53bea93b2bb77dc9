package command_test

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/sys/command"
)

func shell(script string) command.Cmd {
	return command.Cmd{Path: "/bin/sh", Args: []string{"-c", script}}
}

func TestExec(t *testing.T) {
	c := shell("cat; echo $X; pwd; echo warning >&2")
	c.Stdin, c.Env, c.Dir = strings.NewReader("in "), []string{"X=1"}, "/"
	r, err := command.Exec(t.Context(), c)
	if err != nil || string(r.Stdout) != "in 1\n/\n" || string(r.Stderr) != "warning\n" || r.Status != 0 {
		t.Errorf("got %q %q %d, %v", r.Stdout, r.Stderr, r.Status, err)
	}
}

func TestExecError(t *testing.T) {
	_, err := command.Exec(t.Context(), shell("for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; exit 3"))
	want := `running /bin/sh -c 'for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; exit 3': exit status 3: line 3; line 4; line 5; line 6; line 7`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	var exit *exec.ExitError
	if status, ok := command.Status(err); status != 3 || !ok || !errors.As(err, &exit) {
		t.Errorf("status %d %v", status, ok)
	}
	r, err := command.Exec(t.Context(), command.Cmd{Path: "/nowhere/tool"})
	if !errors.Is(err, fs.ErrNotExist) || r.Status != -1 {
		t.Errorf("got %v, status %d", err, r.Status)
	}
}

func TestExecDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := command.Exec(ctx, shell("exec sleep 60"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
