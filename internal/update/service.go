//go:build linux

package update

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/slot"
)

// Service is the update client of a machine. Its fields are set before Run.
type Service struct {
	Root    string // "/" on a machine
	Machine string // as uname -m says
	Boot    Boot
	HTTP    *http.Client
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
	Random  func() float64
	Logf    func(format string, args ...any)
	Pause   time.Duration // between attempts at a download
	Stall   time.Duration // how long no byte of one may come
	AskTime time.Duration // for a question to the server, as a whole
	// Prove decides whether the running system may stay; it takes its time.
	// nil: it may.
	Prove func(ctx context.Context) error
	// Reboot ends the run of a system that may not stay; by force, it stops
	// nothing first.
	Reboot func(force bool) error
	// Announce puts a sentence before whoever logs in; "" takes it away. It
	// may be nil.
	Announce func(sentence string)
	// Notify hears of each change of the status; it may be nil.
	Notify func(Status)

	board   board
	asked   chan struct{}
	proved  chan struct{} // closed when the running system has been judged, and stays
	judged  chan struct{} // closed when it has been judged
	poll    Poll
	version string     // of /usr
	unsaved []slot.Bad // versions that were given up when nothing could be written

	lastError atomic.Value // string: why the last check failed, "" if it did not
}

// LastError is why the last check failed, "" if it did not.
func (s *Service) LastError() string {
	text, _ := s.lastError.Load().(string)
	return text
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// DevMode stops the checks of a timer when it exists.
const DevMode = "root/.dev_mode"

// Files that say that an update waits for a reboot.
const (
	StagedFile         = "run/update_engine_autoupdate_completed"
	RebootRequiredFile = "run/reboot-required"
)

// NewService fills in what a machine has.
func NewService(machine string) *Service {
	return &Service{Root: "/", Machine: machine, Boot: Boot{ESP: ESP{Dir: "/boot"}, Root: "/"}, HTTP: NewClient(),
		Pause: pause, Stall: stall, AskTime: askTime, Now: time.Now, After: time.After, Random: rand.Float64, Logf: func(string, ...any) {}}
}

func (s *Service) prefs() Prefs { return Prefs{filepath.Join(s.Root, PrefsDir)} }

// Start makes the service answer; Run must follow.
func (s *Service) Start() {
	s.asked, s.proved, s.judged = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	s.board = board{status: Status{Operation: Idle, NewVersion: NoVersion}, tell: s.Notify}
	_, err := os.Stat(filepath.Join(s.Root, StagedFile)) // the state alone may be of an installation that was ended
	if staged, fault := LoadState(s.Root); err == nil && fault == nil && staged.Staged.BootID != "" && staged.Staged.BootID == s.bootID() {
		s.board.status.Operation, s.board.status.NewVersion = NeedReboot, staged.Staged.Version
	}
}

// Repeat tells the status to whoever listens, who may have heard of another
// before the client was started anew.
func (s *Service) Repeat() { s.board.change(func(*Status) {}) }

func (s *Service) bootID() string { return readWord(s.Root, "proc/sys/kernel/random/boot_id") }

// Run proves the running system and checks for updates until the context ends.
func (s *Service) Run(ctx context.Context) error {
	s.settle()
	go func() {
		defer close(s.judged)
		if s.judge(ctx) {
			close(s.proved)
		}
	}()
	wait := FirstWait(s.Random())
	for {
		source := omaha.Scheduler
		select {
		case <-ctx.Done():
			<-s.judged
			return nil
		case <-s.asked:
			source = omaha.OnDemand
		case <-s.After(wait):
		}
		wait = s.round(ctx, source)
	}
}

// Attempt asks for a check now. It does nothing unless the client is idle.
func (s *Service) Attempt() {
	started := false
	s.board.change(func(st *Status) {
		if started = st.Operation == Idle; started {
			st.Operation = Checking
		}
	})
	if started {
		s.asked <- struct{}{} // has room: a second one finds the client not idle
	}
}

// Status is what the client is at.
func (s *Service) Status() Status { return s.board.get() }

// Reset undoes a staged update; it is an error while one is in work.
func (s *Service) Reset() error {
	switch op := s.board.get().Operation; op {
	case Idle:
		return nil
	case NeedReboot:
	default:
		return fmt.Errorf("resetting the status: the client is busy (%s)", op)
	}
	state, err := s.Boot.State()
	if err != nil {
		return fmt.Errorf("resetting the status: %w", err)
	}
	if err := s.Boot.ESP.Do(slot.Deactivate(state)); err != nil {
		return fmt.Errorf("resetting the status: %w", err)
	}
	kept, err := LoadState(s.Root)
	if err != nil {
		return err
	}
	kept.Staged = Staged{}
	if kept.Decision.Outcome == "pending" {
		kept.Decision = Decision{}
	}
	err = errors.Join(kept.Save(s.Root), s.prefs().Set(PrefPrevious, ""), removeFiles(s.Root, StagedFile, RebootRequiredFile))
	s.board.change(func(st *Status) { st.Operation, st.NewVersion, st.NewSize, st.Progress = Idle, NoVersion, 0, 0 })
	return err
}

func removeFiles(root string, names ...string) error {
	var errs []error
	for _, n := range names {
		if err := os.Remove(filepath.Join(root, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// round is one check, and what follows it; it returns the wait until the next.
func (s *Service) round(ctx context.Context, source string) time.Duration {
	defer s.rest()
	s.lastError.Store("")
	settings, err := LoadSettings(s.Root)
	if err != nil {
		s.Logf("%v", err)
		return s.poll.Next(0, "", s.Random())
	}
	server, ok := settings.Server()
	if !ok {
		s.noServer(fmt.Sprintf("SERVER=%s names no server", settings.Get("SERVER")), source)
		return s.poll.Next(0, "", s.Random())
	}
	if _, err := os.Stat(filepath.Join(s.Root, DevMode)); err == nil && source == omaha.Scheduler {
		s.Logf("no check: /%s exists", DevMode)
		return s.poll.Next(0, "", s.Random())
	}
	c := &check{Service: s, settings: settings, server: server, source: source, prefs: s.prefs()}
	c.id = ReadIdentity(s.Root, settings, c.prefs, s.Machine)
	if s.board.get().Operation == NeedReboot {
		answer, err := c.post(ctx, c.id.PingRequest())
		s.logError(err)
		return s.poll.Next(answer.Status, "", s.Random())
	}
	err = c.run(ctx)
	s.logError(err)
	s.lastError.Store(errorText(err))
	return s.poll.Next(c.status, c.pollAsked, s.Random())
}

// noServer says why nobody is asked; to a person, as a failed check is told.
func (s *Service) noServer(why, source string) {
	s.Logf("no check: %s", why)
	s.lastError.Store(why)
	if source == omaha.OnDemand && s.board.get().Operation != NeedReboot {
		s.board.change(func(st *Status) { st.Operation = ReportingFailed })
	}
}

// rest makes the client idle again after a round, unless a reboot is due.
func (s *Service) rest() {
	if s.board.get().Operation != NeedReboot {
		s.board.change(func(st *Status) { st.Operation, st.NewVersion, st.NewSize, st.Progress = Idle, NoVersion, 0, 0 })
	}
}

func (s *Service) logError(err error) {
	if err != nil {
		s.Logf("%v", err)
	}
}
