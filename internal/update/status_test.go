//go:build linux

package update

import (
	"slices"
	"testing"
	"time"
)

// TestProgress: listeners hear of each percent, and of less after ten seconds.
func TestProgress(t *testing.T) {
	at := now
	var heard []float64
	s := &Service{Now: func() time.Time { return at }}
	s.board.tell = func(st Status) { heard = append(heard, st.Progress) }
	report := (&check{Service: s}).progress()
	for _, step := range []struct {
		done int64
		wait time.Duration
	}{{0, 0}, {4, 3 * time.Second}, {6, 6 * time.Second}, {7, time.Second}, {8, 9 * time.Second}, {9, time.Second}, {10, 0}, {11, 0}, {20, 0}} {
		at = at.Add(step.wait)
		report(step.done, 1000)
	}
	if want := []float64{0, 0.007, 0.009, 0.01, 0.02}; !slices.Equal(heard, want) {
		t.Errorf("%v, want %v", heard, want)
	}
}

func TestStatusText(t *testing.T) {
	s := Status{LastChecked: 1700000000, Progress: 0.25, Operation: Downloading, NewVersion: "1.2.3", NewSize: 12345}
	const want = "LAST_CHECKED_TIME=1700000000\nPROGRESS=0.250000\nCURRENT_OP=UPDATE_STATUS_DOWNLOADING\nNEW_VERSION=1.2.3\nNEW_SIZE=12345\n"
	if got := s.Text(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestStatusNews(t *testing.T) {
	s := Status{LastChecked: 1, Progress: 0.25, Operation: Downloading, NewVersion: "1.2.3"}
	further, asked := s, s
	further.Progress, asked.LastChecked = 0.5, 2
	if further.News(s) || !asked.News(s) {
		t.Errorf("progress alone: %v; asked again: %v", further.News(s), asked.News(s))
	}
}
