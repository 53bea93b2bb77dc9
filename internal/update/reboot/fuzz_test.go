//go:build linux

package reboot

import (
	"testing"
	"time"
)

// FuzzWindows holds that windows that are taken open within their period.
func FuzzWindows(f *testing.F) {
	f.Add("Thu 23:00", "1h30m", int64(1767225600))
	f.Add("14:00", "1h", int64(0))
	f.Add("Thu 23:00, Fri 04:00", "1h,2h", int64(1767312000))
	f.Add("25:00", "-1h", int64(-1))
	f.Fuzz(func(t *testing.T, starts, lengths string, unix int64) {
		windows, err := ParseWindows(starts, lengths)
		if err != nil || unix < 0 || unix > 1<<33 {
			return
		}
		if wait := Wait(windows, time.Unix(unix, 0).UTC()); wait < 0 || wait > 7*24*time.Hour {
			t.Errorf("%q %q at %d: %s", starts, lengths, unix, wait)
		}
	})
}

// FuzzSemaphore holds that a lock that is taken and given back is as before.
func FuzzSemaphore(f *testing.F) {
	f.Add([]byte(`{"semaphore":1,"max":1,"holders":[]}`))
	f.Add([]byte(`{"semaphore":0,"max":2,"holders":["b","a"]}`))
	f.Add([]byte(`{"semaphore":-9,"holders":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSemaphore(data)
		if err != nil {
			return
		}
		locked, err := s.Lock("me")
		if err != nil {
			return
		}
		back, err := locked.Unlock("me")
		if err != nil || back.Free != s.Free || len(back.Holders) != len(s.Holders) {
			t.Errorf("%s: %+v, %+v, %v", data, locked, back, err)
		}
	})
}
