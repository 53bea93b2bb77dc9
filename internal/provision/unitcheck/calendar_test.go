package unitcheck

import (
	"strings"
	"testing"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// Calendar events that systemd takes: those of systemd.time(7), and others.
var goodEvents = []string{
	"minutely", "hourly", "daily", "Weekly", "monthly", "yearly", "annually", "quarterly", "semiannually", "semi-annually", "biannually", "bi-annually",
	"Sat,Thu,Mon..Wed,Sat..Sun", "Mon,Sun 12-*-* 2,1:23", "Wed *-1", "Wed..Wed,Wed *-1", "Wed, 17:48", "Wed..Sat,Tue 12-10-15 1:2:3", "*-*-7 0:0:0",
	"10-15", "monday *-12-* 17:00", "Mon,Fri *-*-3,1,2 *:30:45", "12,14,13,12:20,10,30", "12..14:10,20,30", "mon,fri *-1/2-1,3 *:30:45", "03-05 08:05:40",
	"08:05:40", "05:40", "Sat,Sun 12-05 08:05:40", "Sat,Sun 08:05:40", "2003-03-05 05:40", "05:40:23.4200004/3.1700005", "2003-02..04-05",
	"2003-03-05 05:40 UTC", "2003-03-05", "03-05", "*:2/3", "Mon-Fri 10:00", "Mon..Fri 10:00", "Monday", "Mon,", "*-*~01", "Mon *-05~07/1",
	"*-*-* 00:00:00 Europe/Berlin", "daily UTC", "*:0/5", "*:00,30", "00:00", "0..23/2:00", "*-*-* *:*:00", "*:*:*", "Sun *-*-1..7 4:00", "1..5-1 10:00",
	"99-1-1", "*-02~03", "*-*-* 23:59:59", "@1234567890", "10:00..05", "*-*-*", "*:*", "Fri..Fri", "Mon  10:00", "2003-03-05  05:40", "*-*-1 00:00:30.5", "Sat..Sun,Mon",
	"*:*:0/0.5", "*:0:0/30", "99..2003-1-1", "70-1-1", "00-1-1", "2024..2030/2-1-1", "*-1..3,6-1", "10:00:59", "*-*-1..31",
}

// Those that it does not.
var badEvents = []string{
	"dayly", "evry day", "", "10", "25:00", "10:60", "Sat..Mon", "Mon..", "Mon..Tue..Wed", "Foo 10:00", "Monda 10:00", "13-01", "00-01", "12-32", "*/5:00", "10:00am", "10h",
	"every 5 minutes", "*-*-* 10", "1/0:00", "2003-03-05T05:40", "*-*~29", "5m", "0 5 * * *", "10:", ":30", "2300-01-01", "1969-01-01", "10:00:00:00", "Mon;Tue", "*-*-1,",
	"12..10:00", "500-1-1", "2003..2001-1-1", "*:0/0", "*-1..13-1", "2024..1800-1-1",
}

func TestCalendar(t *testing.T) {
	for _, e := range goodEvents {
		if calendarFault(e) {
			t.Errorf("%q is refused", e)
		}
	}
	for _, e := range badEvents {
		if !calendarFault(e) {
			t.Errorf("%q is taken", e)
		}
	}
}

// TestCalendarAgrees asks systemd-analyze of the tool set.
func TestCalendarAgrees(t *testing.T) {
	for good, list := range map[bool][]string{true: goodEvents, false: badEvents} {
		for _, e := range list {
			out, err := tooltest.Command(t, "systemd-analyze", "calendar", "--", e).CombinedOutput()
			if fine := err == nil && !strings.Contains(string(out), "Failed to parse"); fine != good {
				t.Errorf("%q: systemd says %s", e, out)
			}
		}
	}
}
