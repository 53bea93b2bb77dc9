//go:build linux

package update

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/release"
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
	// Reboot ends the run of a system that may not stay.
	Reboot func() error
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
	if staged, err := LoadState(s.Root); err == nil && staged.Staged.BootID != "" && staged.Staged.BootID == s.bootID() {
		s.board.status.Operation, s.board.status.NewVersion = NeedReboot, staged.Staged.Version
	}
}

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
		s.Logf("no check: SERVER=%s names no server", settings.Get("SERVER"))
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

// check is one conversation with the server.
type check struct {
	*Service
	settings  Settings
	server    string
	source    string
	prefs     Prefs
	id        Identity
	status    int
	pollAsked string
}

// run does it.
func (c *check) run(ctx context.Context) error {
	select {
	case <-c.proved:
	default: // an update while the running system is on trial would take away the way back
		c.Logf("the check waits until the running system is judged")
		select {
		case <-c.proved: // never, when the machine is on its way back
		case <-ctx.Done():
			return nil
		}
	}
	c.board.change(func(st *Status) { st.Operation = Checking })
	err := c.updateNow(ctx)
	if err != nil {
		c.board.change(func(st *Status) { st.Operation = ReportingFailed })
		c.tellFailure(ctx, err)
	}
	return err
}

func (c *check) updateNow(ctx context.Context) error {
	offer, err := c.ask(ctx)
	if err != nil || offer == nil {
		return err
	}
	kept, err := LoadBad(c.Root)
	if err != nil {
		return err
	}
	exact := c.settings.Get("WELLCAR_EXACT_VERSION")
	verdict := slot.Judge(c.id.Version, offer.Version, append(kept, c.unsaved...), exact == offer.Version)
	c.Logf("offered %s: %s", offer.Version, verdict.Why)
	if !verdict.Install {
		return fail(omaha.CodeIgnoredByPolicy, "not installing %s: %s", offer.Version, verdict.Why)
	}
	if err := c.prefs.room(); err != nil {
		return fail(omaha.CodeWrite, "not installing %s: %w; nothing was changed yet", offer.Version, err)
	}
	if err := c.backoff(*offer); err != nil {
		return err
	}
	return c.install(ctx, *offer, exact)
}

// post asks the server, for a time.
func (c *check) post(ctx context.Context, r omaha.Request) (Answer, error) {
	ctx, stop := context.WithTimeoutCause(ctx, c.AskTime, fmt.Errorf("no answer within %s", c.AskTime))
	defer stop()
	return Ask(ctx, c.HTTP, c.server, r)
}

// ask is the request of a check.
func (c *check) ask(ctx context.Context) (*Offer, error) {
	previous, ok := c.prefs.Get(PrefPrevious)
	event, wentBack := LastEvent(c.id.Version, previous, ok, true)
	answer, err := c.post(ctx, c.id.CheckRequest(c.source, event))
	c.status = answer.Status
	if err != nil {
		return nil, err
	}
	if err := c.prefs.Set(PrefPrevious, ""); err != nil {
		c.Logf("%v", err)
	}
	if wentBack {
		c.Logf("told the server that the machine went back to %s", c.id.Version)
	}
	c.board.change(func(st *Status) { st.LastChecked = c.Now().Unix() })
	if err := c.prefs.Set(PrefFullResponse, string(answer.Raw)); err != nil {
		c.Logf("%v", err)
	}
	offer, poll, err := ReadOffer(answer.Response, c.id.AppID)
	c.pollAsked = poll
	return offer, err
}

// backoff leaves an offer alone that failed before, for a while.
func (c *check) backoff(o Offer) error {
	if last, _ := c.prefs.Get(PrefSignature); last != o.Signature() {
		return errors.Join(c.prefs.Set(PrefSignature, o.Signature()), c.prefs.Set(PrefAttempt, "0"), c.prefs.Set(PrefBackoff, ""))
	}
	until, err := c.deadline()
	if err != nil || o.DisableBackoff || c.source == omaha.OnDemand || !c.Now().Before(until) {
		return nil
	}
	return fail(omaha.CodeDeferredBackoff, "not installing %s before %s: it failed before", o.Version, until.UTC().Format(time.RFC3339))
}

func (c *check) deadline() (time.Time, error) {
	text, _ := c.prefs.Get(PrefBackoff)
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return time.Unix(n, 0), err
}

// attempted counts a download that came to its end.
func (c *check) attempted() {
	text, _ := c.prefs.Get(PrefAttempt)
	n, _ := strconv.Atoi(strings.TrimSpace(text))
	until := c.Now().Add(Backoff(n+1, c.Random()))
	c.logError(errors.Join(c.prefs.Set(PrefAttempt, strconv.Itoa(n+1)), c.prefs.Set(PrefBackoff, strconv.FormatInt(until.Unix(), 10))))
}

func (c *check) install(ctx context.Context, o Offer, exact string) error {
	c.board.change(func(st *Status) { st.Operation, st.NewVersion, st.NewSize = Available, o.Version, o.Package.Size })
	remote := NewRemote(c.HTTP, c.settings)
	remote.Logf, remote.Pause, remote.Stall = c.Logf, c.Pause, c.Stall
	v := Verifier{Root: c.Root, Board: c.id.Board, Prefs: c.prefs, Now: c.Now(), Exact: exact}
	in := &Installer{Boot: c.Boot, Prefs: c.prefs, Remote: remote, Logf: c.Logf, Progress: c.progress()}
	rel, note, err := c.fromAny(ctx, in, o, v)
	if err != nil {
		return err
	}
	c.event(ctx, omaha.NewEvent(omaha.DownloadFinished, omaha.ResultSuccess, 0))
	c.board.change(func(st *Status) { st.Operation = Finalizing })
	if err := MarkStaged(c.Root, c.id.Version, rel.Manifest, c.Now()); err != nil {
		return err
	}
	c.Logf("installed %s %s; it starts with the next boot", o.Version, note)
	c.event(ctx, omaha.NewEvent(omaha.UpdateComplete, omaha.ResultSuccess, 0))
	c.board.change(func(st *Status) { st.Operation, st.Progress = NeedReboot, 1 })
	return nil
}

// fromAny takes the addresses in turn, the machine's own mirrors first.
func (c *check) fromAny(ctx context.Context, in *Installer, o Offer, v Verifier) (rel Verified, note string, err error) {
	var errs []error
	for _, base := range append(c.settings.Mirrors(), o.CodeBases...) {
		if rel, err = FetchManifest(ctx, in.Remote, o, base, v); err == nil {
			if note, err = c.download(ctx, in, rel); err == nil {
				return rel, note, nil
			}
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return rel, "", errors.Join(errs...)
}

func (c *check) download(ctx context.Context, in *Installer, rel Verified) (note string, err error) {
	if c.board.get().Operation != Downloading {
		c.event(ctx, omaha.NewEvent(omaha.DownloadStarted, omaha.ResultSuccess, 0))
		c.board.change(func(st *Status) { st.Operation = Downloading })
	}
	if note, err = in.Install(ctx, rel); err != nil {
		c.attempted()
	}
	return note, err
}

// progress reports each percent.
func (c *check) progress() func(done, total int64) {
	last := -1
	return func(done, total int64) {
		if percent := int(100 * done / max(total, 1)); percent != last {
			last = percent
			c.board.change(func(st *Status) { st.Progress = float64(done) / float64(total) })
		}
	}
}

// MarkStaged keeps what the next boot has to know of an installed release.
func MarkStaged(root, running string, m release.Manifest, now time.Time) error {
	prefs := Prefs{filepath.Join(root, PrefsDir)}
	state, err := LoadState(root)
	if err != nil {
		return err
	}
	state.Staged = Staged{Version: m.Version, RootHash: m.RootHash, Previous: running, BootID: readWord(root, "proc/sys/kernel/random/boot_id")}
	state.Decision = Decision{Version: m.Version, Outcome: "pending", Reason: "it is installed and starts with the next boot", When: now.UTC().Format(time.RFC3339)}
	if seen, _ := prefs.Get(PrefMinimum); seen == "" || slot.Compare(m.Minimum, seen) > 0 {
		err = prefs.Set(PrefMinimum, m.Minimum)
	}
	return errors.Join(err, state.Save(root), prefs.Set(PrefPrevious, running), touch(root, StagedFile), touch(root, RebootRequiredFile))
}

func touch(root, name string) error {
	return os.WriteFile(filepath.Join(root, name), nil, 0o644)
}

// event tells one; whether it arrives is nobody's concern.
func (c *check) event(ctx context.Context, e omaha.Event) {
	if _, err := c.post(ctx, c.id.EventRequest(c.source, e)); err != nil {
		c.Logf("telling the server: %v", err)
	}
}

func (c *check) tellFailure(ctx context.Context, err error) {
	code, result := omaha.Code(1), omaha.ResultError
	var f *Failure
	if errors.As(err, &f) {
		code = f.Code
	}
	switch code {
	case omaha.CodeRequest:
		return // the server cannot be reached
	case omaha.CodeIgnoredByPolicy, omaha.CodeDeferredPolicy, omaha.CodeDeferredBackoff:
		result = omaha.ResultDeferred
	}
	c.event(ctx, omaha.NewEvent(omaha.UpdateComplete, result, code|omaha.FlagOwnServer))
}

// settle finds out what became of the update that was staged before this boot.
func (s *Service) settle() {
	kept, err := LoadState(s.Root)
	if err != nil {
		s.Logf("%v", err)
		return
	}
	if kept.Staged.BootID == s.bootID() {
		return
	}
	defer func() { s.announce(kept.Decision) }()
	settings, err := LoadSettings(s.Root)
	if err != nil {
		s.Logf("%v", err)
		return
	}
	s.version = settings.Get("FLATCAR_RELEASE_VERSION")
	if slot.After(s.version, kept.Staged.Version, kept.Staged.Previous) == slot.WentBack {
		s.cameBack(&kept)
	}
}

// cameBack decides about a staged version that does not run: it is bad if its
// starts are used up. One that lost its kernel to a power cut may be installed
// again, and one that has starts left comes with the next boot.
func (s *Service) cameBack(kept *State) {
	state, err := s.Boot.State()
	if err != nil {
		s.Logf("what became of %s is not known: %v", kept.Staged.Version, err)
		return
	}
	i := slices.IndexFunc(state.Kernels, func(k slot.Kernel) bool { return hex.EncodeToString(k.RootHash[:]) == kept.Staged.RootHash })
	switch {
	case i < 0:
		s.Logf("%s is not on the EFI system partition any more; it may be installed again", kept.Staged.Version)
		kept.Staged, kept.Decision = Staged{}, Decision{}
	case !state.Kernels[i].Spent():
		s.Logf("%s has starts left and comes with the next boot", kept.Staged.Version)
		return
	case s.rememberBad(kept, "it did not start, or did not come far enough to be judged"):
		kept.Staged = Staged{}
	}
	s.logError(kept.Save(s.Root))
}

// rememberBad puts a staged version on the list, unless it is there with a
// better reason. It says whether that will last: where nothing can be written,
// it lasts until the next boot, which finds out again.
func (s *Service) rememberBad(kept *State, reason string) bool {
	list, err := LoadBad(s.Root)
	s.logError(err)
	for _, b := range list {
		if b.Version == kept.Staged.Version {
			return true
		}
	}
	bad := slot.Bad{Version: kept.Staged.Version, RootHash: kept.Staged.RootHash, Reason: reason, When: s.Now().UTC()}
	kept.Decision = Decision{Version: bad.Version, Outcome: "bad", Reason: reason, When: bad.When.Format(time.RFC3339)}
	s.Logf("%s was given up: %s", bad.Version, reason)
	if err := SaveBad(s.Root, slot.Remember(list, bad)); err != nil {
		s.Logf("%v", err)
		s.unsaved = append(s.unsaved, bad)
		return false
	}
	return true
}

// judge proves the running system, if it is on trial, and acts on the result.
// It says whether the system stays.
func (s *Service) judge(ctx context.Context) (stays bool) {
	state, err := s.Boot.State()
	if err != nil {
		s.Logf("the running system is not judged: %v", err)
		return true
	}
	k, ok := state.RunningKernel()
	if !ok || k.Good() {
		return true
	}
	s.Logf("%s is on trial", k.Version)
	if s.Prove != nil {
		err = s.Prove(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.keepRunning(k)
	default:
		return s.giveUp(k, err)
	}
	return true
}

func (s *Service) keepRunning(k slot.Kernel) {
	state, err := s.Boot.State() // it may have been changed by hand meanwhile
	var changes []slot.Change
	if err == nil {
		changes, err = slot.MarkGood(state)
	}
	if err == nil { // first, so that a cut does not leave a good system that does not start
		err = s.Boot.old().Keep()
	}
	if err == nil {
		err = s.Boot.ESP.Do(changes)
	}
	if err != nil {
		s.Logf("%s passed but is not marked good: %v", k.Version, err)
		return
	}
	s.Logf("%s is good", k.Version)
	kept, err := LoadState(s.Root)
	s.logError(err)
	kept.Decision = Decision{Version: k.Version, Outcome: "good", Reason: "every check held", When: s.Now().UTC().Format(time.RFC3339)}
	if kept.Staged.Version == k.Version {
		kept.Staged = Staged{}
	}
	s.logError(kept.Save(s.Root))
	s.announce(kept.Decision)
	list, err := LoadBad(s.Root)
	s.logError(err)
	if len(slot.Forget(list, k.Version)) != len(list) {
		s.logError(SaveBad(s.Root, slot.Forget(list, k.Version)))
	}
}

// giveUp goes back to the other slot, if there is one to go back to; else the
// system stays.
func (s *Service) giveUp(k slot.Kernel, why error) (stays bool) {
	kept, err := LoadState(s.Root)
	s.logError(err)
	state, err := s.Boot.State()
	var changes []slot.Change
	if err == nil && !s.Boot.old().OnTrial() { // from a trial any reboot goes back
		changes, err = slot.MarkBad(state, KeyOf)
	}
	if err != nil {
		kept.Decision = Decision{Version: k.Version, Outcome: "held", Reason: fmt.Sprintf("%v; %v", why, err), When: s.Now().UTC().Format(time.RFC3339)}
		s.logError(kept.Save(s.Root))
		s.announce(kept.Decision)
		s.Logf("%s is not good: %v; it stays, because: %v", k.Version, why, err)
		return true
	}
	kept.Staged.Version, kept.Staged.RootHash = k.Version, hex.EncodeToString(k.RootHash[:])
	if s.rememberBad(&kept, why.Error()) {
		kept.Staged = Staged{}
	}
	s.logError(kept.Save(s.Root))
	if err := s.Boot.ESP.Do(changes); err != nil {
		s.Logf("%v", err)
	}
	s.Logf("%s is not good: %v; going back to the other version", k.Version, why)
	if s.Reboot != nil {
		s.logError(s.Reboot())
	}
	return false
}

// announce tells of a version that was given up, and of nothing else.
func (s *Service) announce(d Decision) {
	if s.Announce != nil {
		s.Announce(d.Sentence())
	}
}

// Sentence is what a person who logs in should know of the decision, if
// anything.
func (d Decision) Sentence() string {
	switch d.Outcome {
	case "bad":
		return fmt.Sprintf("The update to %s was undone: %s. It is not installed again; wellcard status tells more.", d.Version, d.Reason)
	case "held":
		return fmt.Sprintf("Version %s is not healthy: %s. wellcard status tells more.", d.Version, d.Reason)
	}
	return ""
}
