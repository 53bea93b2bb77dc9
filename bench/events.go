package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// event is a JSON line that the wellcar program prints with --json, as far as
// the benchmarks read it.
type event struct {
	Event string `json:"event"` // built, ready, error, note, progress, ...
	Error string `json:"error"`

	// built
	Image  string  `json:"image"`
	UKI    float64 `json:"uki_bytes"`
	Locked bool    `json:"locked"`

	// ready
	Accel  string `json:"accel"`
	Spans  []span `json:"spans"`
	Phases []span `json:"phases"` // of the initrd
}

// span is a part of the time of a boot.
type span struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// parseEvents reads the JSON lines; other lines are skipped.
func parseEvents(data []byte) []event {
	var all []event
	for _, line := range strings.Split(string(data), "\n") {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil && e.Event != "" {
			all = append(all, e)
		}
	}
	return all
}

// built is what a build says of its results.
type built struct {
	disk   string  // path of the disk image
	uki    float64 // bytes
	locked bool
}

func parseBuilt(events []event) (built, error) {
	for _, e := range events {
		if e.Event == "built" {
			return built{e.Image, e.UKI, e.Locked}, nil
		}
	}
	return built{}, errors.New("the build did not say what it built")
}

// readyAfter is the time from power-on until a machine was ready: the sum of
// the spans that the ready event lists. A machine that boots a finished image
// has no spans of a build in it.
func readyAfter(events []event) (seconds float64, accel string, err error) {
	for _, e := range events {
		switch e.Event {
		case "error":
			return 0, "", fmt.Errorf("the machine was not ready: %s", e.Error)
		case "ready":
			for _, s := range e.Spans {
				seconds += s.Seconds
			}
			return seconds, e.Accel, nil
		}
	}
	return 0, "", errors.New("the machine was not ready: the program did not say why")
}

// provisioning is the part of a first boot that reads and carries out the
// config; false: the machine was not provisioned.
func provisioning(events []event) (seconds float64, ok bool) {
	for _, e := range events {
		for _, p := range e.Phases {
			if p.Name == "config" || p.Name == "provision" {
				seconds, ok = seconds+p.Seconds, true
			}
		}
	}
	return seconds, ok
}

// What a console says, and what it means. The login prompt has no line end, so
// the line of /etc/issue right before it is looked for.
var (
	loginLine  = regexp.MustCompile(`This is \S+ \(Wellcar|Debian GNU/Linux \d+ \S+ ttyS0`)
	dockerLine = regexp.MustCompile(regexp.QuoteMeta(dockerMark))
)

// lineTime finds when a line came in the console log of `wellcar run --log`:
// seconds since power-on, a space, the text.
func lineTime(log io.Reader, what *regexp.Regexp) (float64, bool) {
	s := bufio.NewScanner(log)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		at, text, ok := strings.Cut(strings.TrimLeft(s.Text(), " "), " ")
		if !ok || !what.MatchString(text) {
			continue
		}
		if seconds, err := strconv.ParseFloat(at, 64); err == nil {
			return seconds, true
		}
	}
	return 0, false
}
