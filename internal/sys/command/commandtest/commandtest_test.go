package commandtest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/command/commandtest"
)

func TestRecorder(t *testing.T) {
	r := commandtest.Recorder{Answers: map[string]commandtest.Answer{
		"blkid":          {Stdout: "all"},
		"blkid /dev/vda": {Stderr: "none", Status: 2},
	}}
	var run command.Runner = r.Run
	got, err := run(t.Context(), command.Cmd{Path: "/usr/sbin/blkid", Args: []string{"/dev/vdab"}, Stdin: strings.NewReader("x")})
	if err != nil || string(got.Stdout) != "all" {
		t.Errorf("got %q, %v", got.Stdout, err)
	}
	_, err = run(t.Context(), command.Cmd{Path: "blkid", Args: []string{"/dev/vda"}})
	if status, ok := command.Status(err); status != 2 || !ok || !strings.Contains(err.Error(), "none") {
		t.Errorf("got %v", err)
	}
	if d := cmp.Diff([]string{"blkid /dev/vdab", "blkid /dev/vda"}, r.Lines()); d != "" || r.Runs()[0].Stdin != "x" {
		t.Error(d)
	}
}
