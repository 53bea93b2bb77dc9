package qemu

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// keptLines is how much of a console is remembered; a boot has about 2,000 lines.
const keptLines = 20000

// maxLine is where a line without an end is cut, bytes.
const maxLine = 16 << 10

// Line is one line of a console, without its end and without terminal
// control sequences.
type Line struct {
	At   time.Duration // since the machine was started
	Text string
}

// Serial is a serial console: what it said is kept, watched for and written
// to. All methods may be called from several goroutines.
type Serial struct {
	port  io.Writer
	began time.Time

	mu      sync.Mutex
	dropped int // lines no longer kept
	lines   []Line
	partial []byte
	raw     []io.Writer
	watch   []func(Line)
	changed chan struct{} // closed and replaced at each change
	ended   bool
}

// NewSerial is a console whose input goes to port. Feed it with ReadFrom.
func NewSerial(port io.Writer, began time.Time) *Serial {
	return &Serial{port: port, began: began, changed: make(chan struct{})}
}

// ReadFrom takes the console's output until it ends.
func (s *Serial) ReadFrom(r io.Reader) (int64, error) {
	buf, total := make([]byte, 32<<10), int64(0)
	for {
		n, err := r.Read(buf)
		total += int64(n)
		s.take(buf[:n])
		if err != nil {
			s.end()
			return total, nil
		}
	}
}

func (s *Serial) take(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.raw {
		_, _ = w.Write(data) // a lost terminal must not stop the machine
	}
	at := time.Since(s.began)
	for _, c := range data {
		if c != '\n' && len(s.partial) < maxLine {
			s.partial = append(s.partial, c)
			continue
		}
		if c != '\n' {
			s.finishLine(at)
			s.partial = append(s.partial, c)
			continue
		}
		s.finishLine(at)
	}
	s.wake()
}

func (s *Serial) finishLine(at time.Duration) {
	line := Line{at, plain(s.partial)}
	s.partial = s.partial[:0]
	s.lines = append(s.lines, line)
	if len(s.lines) > 2*keptLines {
		drop := len(s.lines) - keptLines
		s.lines = append([]Line(nil), s.lines[drop:]...)
		s.dropped += drop
	}
	for _, f := range s.watch {
		f(line)
	}
}

func (s *Serial) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.partial) > 0 {
		s.finishLine(time.Since(s.began))
	}
	s.ended = true
	s.wake()
}

func (s *Serial) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// control matches terminal control sequences (ECMA-48 CSI and OSC, and the
// two-byte escapes).
var control = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-Z\\\\^_=>78])")

func plain(raw []byte) string {
	text := control.ReplaceAllString(string(raw), "")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, text)
}

// Tee copies the console's bytes as they come to w, from now on.
func (s *Serial) Tee(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = append(s.raw, w)
}

// Watch calls f for each finished line, those already seen first. f must be
// quick and must not call the console.
func (s *Serial) Watch(f func(Line)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		f(l)
	}
	s.watch = append(s.watch, f)
}

// Write types on the console.
func (s *Serial) Write(p []byte) (int, error) { return s.port.Write(p) }

// Mark is the present end of the console's output, for WaitAfter.
func (s *Serial) Mark() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped + len(s.lines)
}

// WaitFor returns the first line that matches, from the start of the machine
// on. An unfinished line, such as a prompt, counts. The error of a deadline
// or of a machine that ended quotes the last lines of the console.
func (s *Serial) WaitFor(ctx context.Context, re *regexp.Regexp) (Line, error) {
	return s.WaitAfter(ctx, 0, re)
}

// WaitAfter is WaitFor for what is said after a mark.
func (s *Serial) WaitAfter(ctx context.Context, mark int, re *regexp.Regexp) (Line, error) {
	for {
		line, next, changed, ended := s.find(mark, re)
		if changed == nil {
			return line, nil
		}
		mark = next
		if ended {
			return Line{}, fmt.Errorf("waiting for %q on the console: the machine ended%s", re, s.quote())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Line{}, fmt.Errorf("waiting for %q on the console: %w%s", re, context.Cause(ctx), s.quote())
		}
	}
}

// seen is closed when a line after the mark matches; it is forgotten with ctx.
func (s *Serial) seen(ctx context.Context, mark int, re *regexp.Regexp) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		if _, err := s.WaitAfter(ctx, mark, re); err == nil {
			close(c)
		}
	}()
	return c
}

// find looks from line number mark on. When nothing matches it returns the
// number to go on from and a channel that is closed when there is more.
func (s *Serial) find(mark int, re *regexp.Regexp) (Line, int, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := max(mark-s.dropped, 0); i < len(s.lines); i++ {
		if re.MatchString(s.lines[i].Text) {
			return s.lines[i], 0, nil, false
		}
	}
	if text := plain(s.partial); mark <= s.dropped+len(s.lines) && text != "" && re.MatchString(text) {
		return Line{time.Since(s.began), text}, 0, nil, false
	}
	return Line{}, max(mark, s.dropped+len(s.lines)), s.changed, s.ended
}

// Tail returns the last n lines, the unfinished one included.
func (s *Serial) Tail(n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, l := range s.lines[max(0, len(s.lines)-n):] {
		out = append(out, l.Text)
	}
	if text := plain(s.partial); text != "" {
		out = append(out, text)
	}
	return out[max(0, len(out)-n):]
}

// quote is the end of an error message: the last 40 lines.
func (s *Serial) quote() string {
	tail := s.Tail(40)
	if len(tail) == 0 {
		return "; the console said nothing"
	}
	return "; the console's last lines:\n    " + strings.Join(tail, "\n    ")
}
