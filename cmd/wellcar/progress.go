package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress reports work: a phase's name, and how much of it is done. Total 0
// means that the end is unknown.
type progress func(phase string, done, total int64)

// drawPace is the shortest time between two redraws or JSON lines of a phase.
const drawPace = 100 * time.Millisecond

// printer writes for people, or JSON lines with --json. Results go to out,
// all else to err; as JSON all goes to out. It may be used by several
// goroutines.
type printer struct {
	mu       sync.Mutex
	out, err io.Writer
	json     bool
	tty      bool
	drawn    bool // a bar is on the current line
	phase    string
	last     time.Time
}

func newPrinter(out, err io.Writer, asJSON bool) *printer {
	return &printer{out: out, err: err, json: asJSON, tty: isTerminal(err)}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// event writes a JSON line if --json is on, and tells whether it did.
func (p *printer) event(name string, fields map[string]any) bool {
	if !p.json {
		return false
	}
	all := map[string]any{"event": name}
	for k, v := range fields {
		all[k] = v
	}
	line, err := json.Marshal(all)
	if err != nil {
		line, _ = json.Marshal(map[string]string{"event": "error", "error": err.Error()})
	}
	fmt.Fprintf(p.out, "%s\n", line)
	return true
}

// note tells people what goes on.
func (p *printer) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if !p.event("note", map[string]any{"text": text}) {
		p.clear()
		fmt.Fprintln(p.err, text)
	}
}

// result prints text for people; fields are its JSON form.
func (p *printer) result(name string, fields map[string]any, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.event(name, fields) {
		p.clear()
		fmt.Fprintln(p.out, text)
	}
}

// progress draws a bar on a terminal; elsewhere it says when a phase begins.
func (p *printer) progress(phase string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	began := phase != p.phase
	if !began && time.Since(p.last) < drawPace && (done < total || total == 0) {
		return
	}
	p.phase, p.last = phase, time.Now()
	switch {
	case p.json:
		p.event("progress", map[string]any{"phase": phase, "done": done, "total": total})
	case p.tty:
		fmt.Fprintf(p.err, "\r\x1b[K%s", bar(phase, done, total))
		p.drawn = true
	case began:
		fmt.Fprintf(p.err, "%s ...\n", phase)
	}
}

// bar is one line of progress, 30 cells wide.
func bar(phase string, done, total int64) string {
	if total <= 0 {
		return fmt.Sprintf("%-12s %s", phase, amount(done))
	}
	done = min(max(done, 0), total)
	cells := int(30 * float64(done) / float64(total))
	return fmt.Sprintf("%-12s [%s%s] %3d%% %s of %s", phase, strings.Repeat("=", cells), strings.Repeat(" ", 30-cells),
		int(100*float64(done)/float64(total)), amount(done), amount(total))
}

// amount writes bytes, with a unit from a thousand kilobytes on.
func amount(n int64) string {
	if n < 1_000_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func (p *printer) clear() {
	if p.drawn {
		fmt.Fprint(p.err, "\r\x1b[K")
		p.drawn, p.phase = false, ""
	}
}

// finish prints the error that ends the program, in either form.
func (p *printer) finish(err error, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	if err == nil {
		return
	}
	if e, ok := err.(exitError); ok && e.cause == nil {
		return
	}
	if !p.event("error", map[string]any{"error": err.Error(), "code": code}) {
		fmt.Fprintf(p.err, "wellcar: %v\n", err)
	}
}
