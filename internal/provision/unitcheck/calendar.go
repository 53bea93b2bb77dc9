package unitcheck

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Words for whole calendar events, systemd.time(7).
var calendarWords = []string{
	"minutely", "hourly", "daily", "weekly", "monthly", "yearly", "annually", "anually", "quarterly",
	"semiannually", "semi-annually", "biannually", "bi-annually",
}

var weekdays = []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

// zoneRe is what may be the name of a time zone; which ones there are is known
// to the machine only.
var zoneRe = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+/-]*$`)

// calendarFault tells whether systemd cannot read a calendar event. It follows
// calendar_spec_from_string of systemd, and takes what it is not sure of.
func calendarFault(value string) bool {
	text := strings.ToLower(value)
	if calendar(text) {
		return false
	}
	rest, zone, found := cutLast(text)
	return !found || !zoneRe.MatchString(zone) || !calendar(rest)
}

func cutLast(s string) (before, last string, found bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// calendar tells whether a text without a time zone is a calendar event.
func calendar(s string) bool {
	if slices.Contains(calendarWords, s) {
		return true
	}
	if s == "" {
		return false
	}
	s, ok := cutWeekdays(s)
	if !ok {
		return false
	}
	if strings.HasPrefix(s, "@") {
		return true
	}
	date, clock, both := strings.Cut(s, " ")
	switch {
	case both:
		return isDate(date) && isClock(strings.TrimLeft(clock, " "))
	case strings.Contains(s, ":"):
		return isClock(s)
	}
	return s == "" || isDate(s)
}

// cutWeekdays takes a list such as Mon,Wed..Fri from the front, if one is
// there, with the blanks behind it.
func cutWeekdays(s string) (rest string, ok bool) {
	last, first := -1, true
	for {
		day, after := cutDay(s)
		switch {
		case day < 0:
			return s, first
		case after != "" && !strings.ContainsRune("-., ", rune(after[0])), last > day:
			return s, false
		}
		open := last >= 0
		s, last, first = after, -1, false
		switch {
		case strings.HasPrefix(s, "..") && !open:
			s, last = s[2:], day
		case strings.HasPrefix(s, "-") && !open:
			s, last = s[1:], day
		case strings.HasPrefix(s, ","):
			s = s[1:]
		case s != "" && s[0] != ' ':
			return s, false
		}
		if s == "" || s[0] == ' ' {
			return strings.TrimLeft(s, " "), last < 0
		}
	}
}

// cutDay takes a day of the week from the front, -1 if there is none.
func cutDay(s string) (day int, rest string) {
	for i, name := range weekdays {
		for _, n := range []string{name, name[:3]} {
			if after, ok := strings.CutPrefix(s, n); ok {
				return i, after
			}
		}
	}
	return -1, s
}

// isDate reads [YEAR-]MONTH-DAY, with ~ before a day counted from the end.
func isDate(s string) bool {
	before, day, fromEnd := strings.Cut(s, "~")
	parts := strings.Split(before, "-")
	last := 31
	if fromEnd {
		parts, last = append(parts, day), 28
	}
	switch len(parts) {
	case 2:
		return isChain(parts[0], 1, 12) && isChain(parts[1], 1, last)
	case 3:
		return isYears(parts[0]) && isChain(parts[1], 1, 12) && isChain(parts[2], 1, last)
	}
	return false
}

// isClock reads HOUR:MINUTE[:SECOND].
func isClock(s string) bool {
	parts := strings.Split(s, ":")
	switch len(parts) {
	case 2:
		return isChain(parts[0], 0, 23) && isChain(parts[1], 0, 59)
	case 3:
		return isChain(parts[0], 0, 23) && isChain(parts[1], 0, 59) && isChain(seconds(parts[2]), 0, 60)
	}
	return false
}

// fractions are those of seconds: one point, as two are a range.
var fractions = regexp.MustCompile(`([0-9])\.[0-9]+`)

// seconds leaves out fractions, and steps, which may be below one.
func seconds(s string) string {
	s = fractions.ReplaceAllString(s, "$1")
	return strings.ReplaceAll(s, "/0", "/1")
}

// isYears reads years: two digits are 1970 to 2069.
func isYears(s string) bool {
	return s == "*" || isChain(s, 0, 2199) && !slices.ContainsFunc(numbers.FindAllString(s, -1), func(year string) bool {
		n, err := strconv.Atoi(strings.Trim(year, ",."))
		return err == nil && n >= 100 && n < 1970
	})
}

// numbers are those of a list that begin a part or a range, and no step.
var numbers = regexp.MustCompile(`(^|,|\.\.)[0-9]+`)

// isChain reads * or a list of A, A..B, A/STEP and A..B/STEP.
func isChain(s string, from, to int) bool {
	if s == "*" {
		return true
	}
	for part := range strings.SplitSeq(s, ",") {
		span, step, stepped := strings.Cut(part, "/")
		start, end, isRange := strings.Cut(span, "..")
		if stepped && !isNumber(step, 1, 1<<30) || !isNumber(start, from, to) || isRange && !isNumber(end, from, to) {
			return false
		}
		if isRange && number(start) > number(end) && number(end) >= 100 == (number(start) >= 100) {
			return false
		}
	}
	return true
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func isNumber(s string, from, to int) bool {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return false
	}
	n, err := strconv.Atoi(s)
	return err == nil && n >= from && n <= to
}
