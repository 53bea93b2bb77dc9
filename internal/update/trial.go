//go:build linux

package update

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
)

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
// again, one that has starts left comes with the next boot, and one that a
// person put behind another waits until it is put first.
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
		s.logError(s.prefs().Set(PrefPrevious, "")) // nothing was tried, so the machine did not go back
	case state.Kernels[i].Unproved:
		s.Logf("%s was put behind another version before it could prove itself", kept.Staged.Version)
		kept.Decision = Decision{}
	case !state.Kernels[i].Spent():
		s.Logf("%s has starts left and comes with the next boot", kept.Staged.Version)
		return
	case s.rememberBad(kept, s.known(*kept)):
		kept.Staged = Staged{}
	}
	s.logError(kept.Save(s.Root))
}

// notSeen is why a version is given up of which nothing is known.
const notSeen = "it did not start, or did not come far enough to be judged"

// known is why a staged version was given up: what its own trial wrote down
// since it was staged, if that was its end.
func (s *Service) known(kept State) slot.Bad {
	bad := slot.Bad{Version: kept.Staged.Version, RootHash: kept.Staged.RootHash, Reason: notSeen, When: s.Now().UTC()}
	list, err := LoadBad(s.Root)
	s.logError(err)
	staged, err := time.Parse(time.RFC3339, kept.Decision.When)
	for _, b := range list {
		if b.Version == bad.Version && (err != nil || kept.Decision.Version != b.Version || !b.When.Before(staged)) {
			return b
		}
	}
	return bad
}

// rememberBad puts a version on the list, in place of what was known of it. It
// says whether that will last: where nothing can be written, it lasts until the
// next boot, which finds out again.
func (s *Service) rememberBad(kept *State, bad slot.Bad) bool {
	list, err := LoadBad(s.Root)
	s.logError(err)
	kept.Decision = Decision{Version: bad.Version, Outcome: "bad", Reason: bad.Reason, When: bad.When.Format(time.RFC3339)}
	s.Logf("%s was given up: %s", bad.Version, bad.Reason)
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
	if ok && k.Good() {
		s.renewLoaders()
	}
	if !ok || k.Good() {
		return true
	}
	s.Logf("%s is on trial", k.Version)
	s.logError(s.begin())
	if s.Prove != nil {
		err = s.Prove(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.keepRunning(k)
	default:
		return s.giveUp(ctx, k, err)
	}
	return true
}

// begin says that the trial has begun, to the timer that ends a boot that does
// not come this far (wellcar-trial.timer).
func (s *Service) begin() error {
	name := filepath.Join(s.Root, layout.Judging)
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, nil, 0o644)
	}
	if err != nil {
		return fmt.Errorf("noting that the trial has begun: %w", err)
	}
	return nil
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
	s.renewLoaders()
}

// renewLoaders makes the boot loaders those of the running system. It is good:
// a version that is given up leaves no loader behind, and has been started by
// the one before, as each version has to be. A cut is made up for by the next
// boot. A system that ran before ours came may still need what is there.
func (s *Service) renewLoaders() {
	if s.Boot.old().OldSystem() {
		return
	}
	m, err := s.Boot.loaders()
	if err != nil {
		s.Logf("%v", err)
		return
	}
	renewed, err := m.Renew()
	s.logError(err)
	for _, name := range renewed {
		s.Logf("%s on the disk is now that of the running system", name)
	}
}

// giveUp goes back to the other slot, if there is one to go back to; else the
// system stays.
func (s *Service) giveUp(ctx context.Context, k slot.Kernel, why error) (stays bool) {
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
	bad := slot.Bad{Version: k.Version, RootHash: kept.Staged.RootHash, Reason: why.Error(), When: s.Now().UTC()}
	if s.rememberBad(&kept, bad) {
		kept.Staged = Staged{}
	}
	s.logError(kept.Save(s.Root))
	if err := s.Boot.ESP.Do(changes); err != nil {
		s.Logf("%v", err)
	}
	s.Logf("%s is not good: %v; going back to the other version", k.Version, why)
	if s.Reboot != nil {
		s.leave(ctx)
	}
	return false
}

// How often a reboot is asked for in the ordinary way, and the time between.
const (
	rebootTries = 4
	rebootPause = 15 * time.Second
)

// leave reboots the machine, by force if nothing else helps.
func (s *Service) leave(ctx context.Context) {
	for range rebootTries {
		err := s.Reboot(false)
		if err == nil {
			return
		}
		s.Logf("rebooting: %v", err)
		select {
		case <-ctx.Done():
			return // the machine goes down, or the next run of the client judges again
		case <-s.After(rebootPause):
		}
	}
	s.Logf("rebooting by force")
	s.logError(s.Reboot(true))
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
