package qemu

import (
	"regexp"
	"strconv"
	"sync"
	"time"
)

// What the image says on its console; the initrd and units of the image are
// the other side of these.
var (
	kernelStart  = regexp.MustCompile(`^\[ *\d+\.\d+\] Linux version `)
	kernelStamp  = regexp.MustCompile(`^\[ *(\d+)\.(\d{6})\] `)
	initrdStart  = regexp.MustCompile(`Run /init as init process`)
	initrdPhase  = regexp.MustCompile(`wellcar-init: phase (\S+) (\d+(?:\.\d+)?)s(?:, (\d+(?:\.\d+)?)s after)?`)
	systemdStart = regexp.MustCompile(`systemd\[1\]: systemd \S+ running in system mode|^Welcome to `)
	reached      = regexp.MustCompile(`wellcar: reached (\S+)`)

	// BootFailed is the sentence with which the initrd gives up.
	BootFailed = regexp.MustCompile(`BOOT FAILED: (.+)|Kernel panic - not syncing: (.+)`)
	// ReachedSSH is said when the network is up and the SSH socket listens.
	ReachedSSH = regexp.MustCompile(`wellcar: reached ssh\b`)
	// Rebooted is among the first lines of each boot: of the firmware, the
	// kernel's EFI stub, or a kernel that shows its messages.
	Rebooted = regexp.MustCompile(`BdsDxe: starting |wellcar: BIOS starts |EFI stub: |` + kernelStart.String())
)

// KernelTime reads the time stamp at the start of a kernel message.
func KernelTime(text string) (time.Duration, bool) {
	m := kernelStamp.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	seconds, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil {
		return 0, false
	}
	micros, _ := strconv.ParseInt(m[2], 10, 32)
	return time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond, true
}

// ParsePhase reads a line by which wellcar-init reports a phase it ended.
func ParsePhase(text string) (name string, took time.Duration, ok bool) {
	m := initrdPhase.FindStringSubmatch(text)
	if m == nil {
		return "", 0, false
	}
	seconds, err := strconv.ParseFloat(m[2], 64)
	if err != nil || seconds > 1e6 {
		return "", 0, false
	}
	return m[1], time.Duration(seconds * float64(time.Second)), true
}

// Span is a named piece of time.
type Span struct {
	Name string
	Took time.Duration
}

// Timeline works out from a console where the time of a boot went.
// The zero value is ready; Observe fits Serial.Watch.
type Timeline struct {
	mu       sync.Mutex
	epoch    time.Duration // when the kernel's clock began, since the machine's start
	initrd   time.Duration
	systemd  time.Duration
	reached  map[string]time.Duration
	phases   []Span
	seen     bool // a kernel started
	finished bool // it handed over to systemd; later boots are not counted
}

// Observe takes the next line.
func (t *Timeline) Observe(l Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stamp, stamped := KernelTime(l.Text)
	at := l.At
	switch {
	case stamped && !t.seen:
		t.seen, t.epoch = true, l.At-stamp
	case stamped && l.At-stamp < t.epoch && !t.finished:
		t.epoch = l.At - stamp // the console lags behind the clock; the smallest lag is the truest
	}
	if stamped {
		at = t.epoch + stamp
	}
	if m := reached.FindStringSubmatch(l.Text); m != nil {
		if t.reached == nil {
			t.reached = map[string]time.Duration{}
		}
		if _, again := t.reached[m[1]]; !again {
			t.reached[m[1]] = at
		}
	}
	if t.finished {
		return
	}
	if name, took, ok := ParsePhase(l.Text); ok {
		t.phases = append(t.phases, Span{name, took})
		t.placePhase(l, took)
	}
	switch {
	case initrdStart.MatchString(l.Text):
		t.initrd = at
	case systemdStart.MatchString(l.Text):
		t.finished = true
		if t.systemd == 0 || stamped {
			t.systemd = at
		}
	}
}

// placePhase takes the kernel's clock from a phase that tells when it ended,
// for consoles that show no messages of the kernel.
func (t *Timeline) placePhase(l Line, took time.Duration) {
	m := initrdPhase.FindStringSubmatch(l.Text)
	seconds, err := strconv.ParseFloat(m[3], 64)
	if err != nil || seconds > 1e6 {
		return
	}
	end := time.Duration(seconds * float64(time.Second))
	if !t.seen || l.At-end < t.epoch {
		t.seen, t.epoch = true, l.At-end
	}
	if t.initrd == 0 {
		t.initrd = t.epoch + end - took
	}
	t.systemd = t.epoch + end
}

// Reached is when the image reported a state ("ssh"), since the machine's start.
func (t *Timeline) Reached(name string) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.reached[name]
	return at, ok
}

// Phases are those that wellcar-init reported, in their order.
func (t *Timeline) Phases() []Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Span(nil), t.phases...)
}

// Spans cuts the time from power-on until end into firmware, kernel, initrd,
// provisioning and userspace. What the console did not tell is left out, and
// its time belongs to the next span.
func (t *Timeline) Spans(end time.Duration) []Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.seen {
		return []Span{{"firmware", end}}
	}
	spans, last := []Span{{"firmware", t.epoch}}, t.epoch
	if t.initrd > 0 {
		spans, last = append(spans, Span{"kernel", t.initrd - last}), t.initrd
	}
	if t.systemd > 0 {
		provision := t.phase("provision")
		spans = append(spans, Span{"initrd", t.systemd - last - provision}, Span{"provisioning", provision})
		last = t.systemd
	}
	return append(spans, Span{"userspace", end - last})
}

func (t *Timeline) phase(name string) time.Duration {
	var sum time.Duration
	for _, p := range t.phases {
		if p.Name == name {
			sum += p.Took
		}
	}
	return sum
}
