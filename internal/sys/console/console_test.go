//go:build linux

package console

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestActive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "active")
	if err := os.WriteFile(file, []byte("tty0 ttyS0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := active(file)
	if err != nil || strings.Join(got, ",") != "tty0,ttyS0" {
		t.Error(got, err)
	}
	if _, err := active(file + "x"); err == nil {
		t.Error("no consoles, no error")
	}
}

// A pipe takes what a serial line would.
func TestDrawWaitsForRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "line")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0) // a reader alone would see an end before the writer comes
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := []string{strings.Repeat("x", 200<<10), "end"}
	done := make(chan error, 1)
	go func() {
		done <- draw(t.Context(), path, false, func(s Size) []string {
			if s != (Size{Width: serialWidth}) {
				t.Errorf("%v", s)
			}
			return lines
		})
	}()
	want := plain + "\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Error("the page came otherwise", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDrawGivesUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "line")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0) // a reader alone would see an end before the writer comes
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = draw(ctx, path, false, func(Size) []string { return []string{strings.Repeat("x", 200<<10)} })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
