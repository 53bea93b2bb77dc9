//go:build linux

package update

import "testing"

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
