// Package kmsg writes lines to the kernel log, from where they reach the
// consoles and the journal of the booted system.
//
// Format: Documentation/ABI/testing/dev-kmsg. One write is one record; the
// kernel refuses records above 1 KiB, so longer lines are split.
package kmsg

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Device is the file that records are written to.
const Device = "/dev/kmsg"

// Level is the importance of a record, as in syslog.
type Level int

// The levels in use. Critical passes `quiet` on the command line.
const (
	Critical Level = 2
	Error    Level = 3
	Warning  Level = 4
	Info     Level = 6
)

// maxText is the longest text of one record, in bytes; it leaves room for the
// level and the tag.
const maxText = 900

// Log writes records under one tag. The zero value drops everything. It is
// safe for concurrent use as far as its writer is: each record is one Write.
type Log struct {
	w   io.Writer
	tag string
}

// New returns a log over any writer.
func New(w io.Writer, tag string) Log { return Log{w: w, tag: tag} }

// As returns a log over the same writer under another tag.
func (l Log) As(tag string) Log { return Log{w: l.w, tag: tag} }

// Open returns a log over the kernel's device. The file stays open for the
// life of the process.
func Open(tag string) (Log, error) {
	f, err := os.OpenFile(Device, os.O_WRONLY, 0)
	if err != nil {
		return Log{}, fmt.Errorf("opening the kernel log: %w", err)
	}
	return New(f, tag), nil
}

// Printf writes a text, one record per line of it. A record that cannot be
// written is lost: there is no better place to report it.
func (l Log) Printf(level Level, format string, args ...any) {
	if l.w == nil {
		return
	}
	for _, line := range strings.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		l.record(level, line)
	}
}

func (l Log) record(level Level, text string) {
	for {
		part := text
		if len(part) > maxText {
			part = part[:maxText]
		}
		fmt.Fprintf(l.w, "<%d>%s: %s\n", int(level), l.tag, part)
		if text = text[len(part):]; text == "" {
			return
		}
	}
}
