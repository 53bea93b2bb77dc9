//go:build linux

package reboot

import (
	"fmt"
	"strings"
	"time"
)

// Window is a span of time that comes again each day or each week.
type Window struct {
	Day    time.Weekday // -1: every day
	Hour   int
	Minute int
	Length time.Duration
}

const everyDay = time.Weekday(-1)

// ParseWindows reads the two settings. Several windows are separated by
// commas; a single length is that of all. Both empty: no window, any time.
func ParseWindows(starts, lengths string) ([]Window, error) {
	if starts == "" && lengths == "" {
		return nil, nil
	}
	if starts == "" || lengths == "" {
		return nil, fmt.Errorf("reading the reboot windows: start %q and length %q belong together", starts, lengths)
	}
	from, long := strings.Split(starts, ","), strings.Split(lengths, ",")
	if len(long) != 1 && len(long) != len(from) {
		return nil, fmt.Errorf("reading the reboot windows: %d starts with %d lengths", len(from), len(long))
	}
	var all []Window
	for i, s := range from {
		w, err := parseWindow(strings.TrimSpace(s), strings.TrimSpace(long[min(i, len(long)-1)]))
		if err != nil {
			return nil, fmt.Errorf("reading the reboot windows: %w", err)
		}
		all = append(all, w)
	}
	return all, nil
}

var days = map[string]time.Weekday{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}

func parseWindow(start, length string) (w Window, err error) {
	w.Day = everyDay
	clock := start
	if day, rest, ok := strings.Cut(start, " "); ok {
		if w.Day, ok = days[strings.ToLower(day)]; !ok {
			return w, fmt.Errorf("%q is no day; write one such as Thu", day)
		}
		clock = strings.TrimSpace(rest)
	}
	at, err := time.Parse("15:04", clock)
	if err != nil {
		return w, fmt.Errorf("the start %q is not like Thu 23:00 or 23:00", start)
	}
	w.Hour, w.Minute = at.Hour(), at.Minute()
	if w.Length, err = time.ParseDuration(length); err != nil || w.Length <= 0 {
		return w, fmt.Errorf("the length %q is not like 1h30m", length)
	}
	if limit := w.period(); w.Length >= limit {
		return w, fmt.Errorf("a length of %s is not below %s", w.Length, limit)
	}
	return w, nil
}

func (w Window) period() time.Duration {
	if w.Day == everyDay {
		return 24 * time.Hour
	}
	return 7 * 24 * time.Hour
}

// starts is the latest start at or before now and the one after it.
func (w Window) starts(now time.Time) (latest, next time.Time) {
	step := 1
	at := time.Date(now.Year(), now.Month(), now.Day(), w.Hour, w.Minute, 0, 0, now.Location())
	if w.Day != everyDay {
		step = 7
		at = at.AddDate(0, 0, int(w.Day)-int(now.Weekday()))
	}
	for at.After(now) {
		at = at.AddDate(0, 0, -step)
	}
	for !at.AddDate(0, 0, step).After(now) {
		at = at.AddDate(0, 0, step)
	}
	return at, at.AddDate(0, 0, step)
}

// Wait is how long it takes until one of the windows is open; 0 is now. Both
// ends of a window belong to it.
func Wait(windows []Window, now time.Time) time.Duration {
	if len(windows) == 0 {
		return 0
	}
	shortest := time.Duration(1<<63 - 1)
	for _, w := range windows {
		latest, next := w.starts(now)
		if !now.After(latest.Add(w.Length)) {
			return 0
		}
		shortest = min(shortest, next.Sub(now))
	}
	return shortest
}
