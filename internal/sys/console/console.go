//go:build linux

// Package console writes whole pages to the consoles of a machine: screens
// (tty0) and serial lines, as the kernel lists them in
// /sys/class/tty/console/active (Documentation/ABI/testing/sysfs-tty).
//
// A screen is cleared first; on a serial line, which somebody may record, the
// page follows what was there.
package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Size is that of a console in characters. Height 0: it scrolls.
type Size struct{ Width, Height int }

// serialWidth is what a serial line has if it does not say.
const serialWidth = 80

const (
	// clearScreen leaves whatever mode a screen is in: attributes off, UTF-8,
	// everything erased, cursor at home (console_codes(4)).
	clearScreen = "\x1b[0m\x1b%G\x1b[2J\x1b[H"
	plain       = "\x1b[0m"
)

// Draw shows on each console the page that page makes for its size. A console
// that does not take it until the context ends is left; the error names all
// of those.
func Draw(ctx context.Context, page func(Size) []string) error {
	names, err := active("/sys/class/tty/console/active")
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := draw(ctx, filepath.Join("/dev", name), strings.TrimLeft(name, "ty0123456789") == "", page); err != nil {
			errs = append(errs, fmt.Errorf("drawing on console %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// active are the consoles that the kernel writes to.
func active(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("looking for consoles: %w", err)
	}
	return strings.Fields(string(text)), nil
}

func draw(ctx context.Context, path string, screen bool, page func(Size) []string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text := strings.Join(page(size(f, screen)), "\r\n")
	if screen {
		text = clearScreen + text
	} else {
		text = plain + "\r\n" + text + "\r\n"
	}
	return write(ctx, f, []byte(text))
}

// size asks the terminal. A screen tells; a serial line knows only what
// somebody set.
func size(f *os.File, screen bool) Size {
	s := Size{Width: serialWidth}
	conn, err := f.SyscallConn()
	if err != nil {
		return s
	}
	_ = conn.Control(func(fd uintptr) {
		if ws, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil && screen && ws.Col > 0 {
			s = Size{int(ws.Col), int(ws.Row)}
		}
	})
	return s
}

// retryPace is the pause before a full line is tried again; not every
// terminal can be waited for.
const retryPace = 20 * time.Millisecond

func write(ctx context.Context, f *os.File, data []byte) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for len(data) > 0 {
		var n int
		var failed error
		if err := conn.Control(func(fd uintptr) { n, failed = unix.Write(int(fd), data) }); err != nil {
			return err
		}
		data = data[max(n, 0):]
		switch {
		case failed == unix.EAGAIN || failed == unix.EINTR:
			pause := time.NewTimer(retryPace)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return fmt.Errorf("%d bytes did not go out: %w", len(data), context.Cause(ctx))
			}
		case failed != nil:
			return failed
		}
	}
	return nil
}
