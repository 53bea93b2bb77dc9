// Package archive is a client of the signed Debian archive: it checks the
// indexes, resolves dependencies into a lock, and fetches packages into a
// cache that survives interruptions.
//
// The chain of trust is: an embedded OpenPGP key of Debian signs InRelease,
// InRelease holds the SHA-256 and size of the Packages index, the index holds
// those of each package, and the lock repeats these. Nothing is used before
// its link of the chain was checked, so any mirror or proxy may serve it.
// Formats: https://wiki.debian.org/DebianRepository/Format and deb-version(7).
//
// Limits: component main, one architecture with "all", no Recommends, no
// solving of Conflicts, no package diffs, no credentials from apt's auth.conf
// (a user and password in the address itself work).
//
//	c := archive.Cache{Dir: dir, Client: archive.Client{Mirror: mirror}}
//	l, err := archive.UpdateLock(ctx, archive.Options{Cache: c, Want: want, Drop: drop})
//	got, err := c.FetchLocked(ctx, l, []string{"image"}, archive.Require, archive.FetchOptions{})
package archive

// The two archives that packages come from, as the lock names them.
const (
	Main     = "debian"
	Security = "debian-security"
)

// Release is the Debian release that images are made from.
const Release = "trixie"

// logf is a destination for messages; nil means silence.
type logf func(format string, args ...any)

func (f logf) log(format string, args ...any) {
	if f != nil {
		f(format, args...)
	}
}
