//go:build linux

package update

import (
	"fmt"
	"sync"
)

// Status is what the client is at, as D-Bus shows it.
type Status struct {
	LastChecked int64 // Unix time; 0: never
	Progress    float64
	Operation   Operation
	NewVersion  string
	NewSize     int64 // bytes
}

// News tells whether more than the progress differs from what was before.
func (s Status) News(before Status) bool {
	s.Progress, before.Progress = 0, 0
	return s != before
}

// Operation is a state of the client.
type Operation string

// The operations; Verifying is never entered, as in Flatcar's client.
const (
	Idle            Operation = "UPDATE_STATUS_IDLE"
	Checking        Operation = "UPDATE_STATUS_CHECKING_FOR_UPDATE"
	Available       Operation = "UPDATE_STATUS_UPDATE_AVAILABLE"
	Downloading     Operation = "UPDATE_STATUS_DOWNLOADING"
	Verifying       Operation = "UPDATE_STATUS_VERIFYING"
	Finalizing      Operation = "UPDATE_STATUS_FINALIZING"
	NeedReboot      Operation = "UPDATE_STATUS_UPDATED_NEED_REBOOT"
	ReportingFailed Operation = "UPDATE_STATUS_REPORTING_ERROR_EVENT"
)

// NoVersion is what NewVersion says when there is none.
const NoVersion = "0.0.0"

// Text is the five lines that update_engine_client prints.
func (s Status) Text() string {
	return fmt.Sprintf("LAST_CHECKED_TIME=%d\nPROGRESS=%f\nCURRENT_OP=%s\nNEW_VERSION=%s\nNEW_SIZE=%d\n",
		s.LastChecked, s.Progress, s.Operation, s.NewVersion, s.NewSize)
}

// board holds the status and tells listeners of changes.
type board struct {
	mu     sync.Mutex
	status Status
	tell   func(Status) // called without the lock, in order
}

func (b *board) get() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// change alters the status; the listener hears of it if quiet does not say
// otherwise.
func (b *board) change(f func(*Status)) {
	b.mu.Lock()
	f(&b.status)
	s, tell := b.status, b.tell
	b.mu.Unlock()
	if tell != nil {
		tell(s)
	}
}
