//go:build linux

package update

import (
	"strconv"
	"time"
)

// When to ask (updates.md 1.8).
const (
	firstCheck   = 7 * time.Minute
	usualPoll    = 45 * time.Minute
	longestPoll  = 4 * time.Hour
	fuzz         = 10 * time.Minute // whole width
	longestDays  = 16
	backoffFuzz  = 12 * time.Hour // whole width
	maxURLFaults = 10             // per address, unless the answer says otherwise
)

// FirstWait is how long after its start the client asks first. r is random,
// from 0 to 1.
func FirstWait(r float64) time.Duration { return spread(firstCheck, fuzz, r) }

// Poll is the pace of checks.
type Poll struct{ Interval time.Duration }

// Next is the wait after a check: status is the HTTP status of the answer, 0
// if there was none, and asked the PollInterval of the answer, in seconds.
func (p *Poll) Next(status int, asked string, r float64) time.Duration {
	if p.Interval == 0 {
		p.Interval = usualPoll
	}
	width := fuzz
	switch seconds, err := strconv.Atoi(asked); {
	case status == 500 || status == 503:
		p.Interval = min(2*p.Interval, longestPoll)
		width = p.Interval
	case err == nil && seconds > 0:
		p.Interval = min(max(time.Duration(seconds)*time.Second, usualPoll), longestPoll)
	default:
		p.Interval = usualPoll
	}
	return spread(p.Interval, width, r)
}

func spread(middle, width time.Duration, r float64) time.Duration {
	return middle - width/2 + time.Duration(r*float64(width))
}

// Backoff is how long an offer is left alone after its full payload was
// downloaded in vain that many times.
func Backoff(attempts int, r float64) time.Duration {
	if attempts <= 0 {
		return 0
	}
	days := longestDays
	if attempts < 5 {
		days = 1 << (attempts - 1)
	}
	return spread(time.Duration(days)*24*time.Hour, backoffFuzz, r)
}
