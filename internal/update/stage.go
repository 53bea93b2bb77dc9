//go:build linux

package update

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/slot"
)

// Noter keeps what the next boot has to know of a release. The function that
// it returns takes that back.
type Noter func(release.Manifest) (takeBack func() error, err error)

// NoteStaged is the Noter of a machine that runs a version.
func NoteStaged(root, running string, now func() time.Time) Noter {
	return func(m release.Manifest) (takeBack func() error, err error) {
		prefs := Prefs{filepath.Join(root, PrefsDir)}
		before, err := LoadState(root)
		if err != nil {
			return nil, err
		}
		previous, _ := prefs.Get(PrefPrevious)
		takeBack = func() error { return errors.Join(before.Save(root), prefs.Set(PrefPrevious, previous)) }
		state := before
		state.Staged = Staged{Version: m.Version, RootHash: m.RootHash, Previous: running, BootID: readWord(root, "proc/sys/kernel/random/boot_id")}
		state.Decision = Decision{Version: m.Version, Outcome: "pending", Reason: "it is installed and starts with the next boot", When: now().UTC().Format(time.RFC3339)}
		if err := errors.Join(state.Save(root), prefs.Set(PrefPrevious, running)); err != nil {
			return nil, errors.Join(err, takeBack())
		}
		return takeBack, nil
	}
}

// named gives the kernel its name. What the next boot has to know is kept
// before: a cut in between leaves a note of a version that is not there, which
// the next boot drops, and never a version that nobody knows of.
func (j *job) named(name slot.Name, activate func() error) error {
	if j.Note == nil {
		return activate()
	}
	takeBack, err := j.Note(j.rel.Manifest)
	if err != nil {
		return &Failure{omaha.CodeWrite, err}
	}
	err = activate()
	if err == nil {
		return nil
	}
	if _, there := os.Lstat(j.Boot.ESP.path(name.File())); errors.Is(there, fs.ErrNotExist) {
		err = errors.Join(err, takeBack())
	}
	return err
}

// MarkStaged tells programs of this boot that a release is installed, and
// keeps its minimum.
func MarkStaged(root string, m release.Manifest) (err error) {
	prefs := Prefs{filepath.Join(root, PrefsDir)}
	if seen, _ := prefs.Get(PrefMinimum); seen == "" || slot.Compare(m.Minimum, seen) > 0 {
		err = prefs.Set(PrefMinimum, m.Minimum)
	}
	return errors.Join(err, touch(root, StagedFile), touch(root, RebootRequiredFile))
}

func touch(root, name string) error {
	return os.WriteFile(filepath.Join(root, name), nil, 0o644)
}
