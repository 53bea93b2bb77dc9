package layout

import (
	"fmt"
	"regexp"
	"strings"
)

// ResetFile on the root file system asks the next boot to delete everything
// from it but what the regular expression within keeps.
const ResetFile = "selective-os-reset"

// KeepRule says which paths of the root file system survive a reset.
type KeepRule struct{ keep *regexp.Regexp }

// alwaysKept are what a reset does not touch: the backup that it made.
const alwaysKept = "/flatcar-backup"

// ParseKeepRule reads one POSIX extended regular expression. It keeps the
// paths that it matches as a whole, and what is below them. An empty one keeps
// nothing.
func ParseKeepRule(text string) (KeepRule, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return KeepRule{}, nil
	}
	re, err := regexp.CompilePOSIX("^(" + text + ")(/.*)?$")
	if err != nil {
		return KeepRule{}, fmt.Errorf("reading what a reset is to keep, %q: %w", text, err)
	}
	return KeepRule{re}, nil
}

// Keeps says whether a path, which begins with a slash, survives.
func (k KeepRule) Keeps(path string) bool {
	if path == alwaysKept || strings.HasPrefix(path, alwaysKept+"/") {
		return true
	}
	return k.keep != nil && k.keep.MatchString(path)
}
