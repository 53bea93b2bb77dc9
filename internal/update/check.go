//go:build linux

package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/slot"
)

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
	offer, poll, err := ReadOffer(answer.Response, c.id)
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

// attempted counts a download that no address brought to a good end.
func (c *check) attempted() {
	text, _ := c.prefs.Get(PrefAttempt)
	n, _ := strconv.Atoi(strings.TrimSpace(text))
	until := c.Now().Add(Backoff(n+1, c.Random()))
	c.logError(errors.Join(c.prefs.Set(PrefAttempt, strconv.Itoa(n+1)), c.prefs.Set(PrefBackoff, strconv.FormatInt(until.Unix(), 10))))
}

func (c *check) install(ctx context.Context, o Offer, exact string) error {
	c.board.change(func(st *Status) { st.Operation, st.NewVersion, st.NewSize = Available, o.Version, o.Package.Size })
	remote := NewRemote(c.HTTP, c.settings, c.Logf)
	remote.Pause, remote.Stall, remote.Retries = c.Pause, c.Stall, o.MaxFailures-1
	v := Verifier{Root: c.Root, Board: c.id.Board, Prefs: c.prefs, Now: c.Now(), Exact: exact}
	in := &Installer{Boot: c.Boot, Prefs: c.prefs, Remote: remote, Logf: c.Logf, Progress: c.progress(), Note: NoteStaged(c.Root, c.id.Version, c.Now)}
	rel, note, err := c.fromAny(ctx, in, o, v)
	if err != nil {
		return err
	}
	c.event(ctx, omaha.NewEvent(omaha.DownloadFinished, omaha.ResultSuccess, 0))
	c.board.change(func(st *Status) { st.Operation = Finalizing })
	if err := MarkStaged(c.Root, rel.Manifest); err != nil {
		return err
	}
	c.Logf("installed %s %s; it starts with the next boot", o.Version, note)
	c.event(ctx, omaha.NewEvent(omaha.UpdateComplete, omaha.ResultSuccess, 0))
	c.board.change(func(st *Status) { st.Operation, st.Progress = NeedReboot, 1 })
	return nil
}

// fromAny takes the addresses in turn, the machine's own mirrors first. All of
// them together are one attempt (updates.md 1.8), if at one the release was
// there and its payload was not good or did not come; what is wrong with the
// machine is no fault of the offer, and no other address helps.
func (c *check) fromAny(ctx context.Context, in *Installer, o Offer, v Verifier) (rel Verified, note string, err error) {
	var errs []error
	counts := false
	for _, base := range append(c.settings.Mirrors(), o.CodeBases...) {
		if rel, err = FetchManifest(ctx, in.Remote, o, base, v); err == nil {
			if note, err = c.download(ctx, in, rel); err == nil {
				return rel, note, nil
			}
			counts = true
		}
		errs = append(errs, err)
		code := codeOf(err)
		if ctx.Err() != nil || slices.Contains(ofMachine, code) {
			return rel, "", errors.Join(errs...)
		}
		if code == omaha.CodePostinstall { // the owner's hook refuses the same release from other addresses too
			break
		}
	}
	if counts {
		c.attempted()
	}
	return rel, "", errors.Join(errs...)
}

// ofMachine are the codes of an installation that failed by the state of the
// machine: a partition that is full or not there, another program that installs.
var ofMachine = []omaha.Code{omaha.CodeInstallDevice, omaha.CodeKernelDevice, omaha.CodeWrite}

func (c *check) download(ctx context.Context, in *Installer, rel Verified) (note string, err error) {
	if c.board.get().Operation != Downloading {
		c.event(ctx, omaha.NewEvent(omaha.DownloadStarted, omaha.ResultSuccess, 0))
		c.board.change(func(st *Status) { st.Operation = Downloading })
	}
	return in.Install(ctx, rel)
}

// progressPause is how long listeners wait at most while bytes come.
const progressPause = 10 * time.Second

// progress reports each percent, and at each tenth second what came of one.
func (c *check) progress() func(done, total int64) {
	last, told := -1, time.Time{}
	return func(done, total int64) {
		percent, now := int(100*done/max(total, 1)), c.Now()
		if percent != last || now.Sub(told) >= progressPause {
			last, told = percent, now
			c.board.change(func(st *Status) { st.Progress = float64(done) / float64(total) })
		}
	}
}

// event tells one; whether it arrives is nobody's concern.
func (c *check) event(ctx context.Context, e omaha.Event) {
	if _, err := c.post(ctx, c.id.EventRequest(c.source, e)); err != nil {
		c.Logf("telling the server: %v", err)
	}
}

// tellFailure tells why a check failed. An offer that is not installed is an
// error too: Nebraska takes no other result for the end of what it granted.
func (c *check) tellFailure(ctx context.Context, err error) {
	code, result := cmp.Or(codeOf(err), 1), omaha.ResultError
	switch code {
	case omaha.CodeRequest:
		return // the server cannot be reached
	case omaha.CodeDeferredPolicy, omaha.CodeDeferredBackoff:
		result = omaha.ResultDeferred
	}
	c.event(ctx, omaha.NewEvent(omaha.UpdateComplete, result, code|omaha.FlagOwnServer))
}
