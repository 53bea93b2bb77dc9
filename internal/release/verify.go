package release

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

// Reasons to refuse a release that a caller may want to tell apart.
var (
	ErrSignature = errors.New("the signature does not hold")
	ErrExpired   = errors.New("it has expired")
	ErrDowngrade = errors.New("it is older than allowed")
	ErrOther     = errors.New("it is for other machines")
)

// Policy is what a machine demands of a release.
type Policy struct {
	Now     time.Time // the zero time leaves out the checks of expiry and key spans: for inspection only
	Board   string    // "" is any
	Minimum string    // the highest of those that the machine remembers; "" is none
}

// Verify checks a manifest and its signature and returns what it says. The
// manifest is not looked at before its signature holds.
func Verify(t Trust, manifest, signature []byte, p Policy) (Manifest, error) {
	if len(manifest) > MaxManifest {
		return Manifest{}, fmt.Errorf("verifying a release: the manifest has %d bytes, more than %d", len(manifest), MaxManifest)
	}
	if err := t.check(manifest, signature, p.Now); err != nil {
		return Manifest{}, fmt.Errorf("verifying a release: %w", err)
	}
	m, err := parse(manifest)
	if err != nil {
		return Manifest{}, fmt.Errorf("verifying a release: the manifest: %w", err)
	}
	if err := p.check(m); err != nil {
		return Manifest{}, fmt.Errorf("verifying release %s: %w", m.Version, err)
	}
	return m, nil
}

// check finds a certificate by a trusted root key that holds now, and checks
// the signature with its key.
func (t Trust) check(manifest, signature []byte, now time.Time) error {
	s, err := parseSignature(signature)
	if err != nil {
		return fmt.Errorf("the signature file: %w", err)
	}
	if len(s.Certificates) == 0 || len(s.Signature) == 0 {
		return fmt.Errorf("%w: it is not signed", ErrSignature)
	}
	var faults []error
	for _, c := range s.Certificates {
		err := t.checkCertificate(c, now)
		if err == nil {
			return checkBytes(manifest, s.Signature, c.Key)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func checkBytes(manifest, signature []byte, key ed25519.PublicKey) error {
	signed := append([]byte(manifestMessage), manifest...)
	if !ed25519.Verify(key, signed, signature) {
		return fmt.Errorf("%w: it is not by key %s, or the manifest was changed", ErrSignature, keyID(key))
	}
	return nil
}

func (t Trust) checkCertificate(c Certificate, now time.Time) error {
	if t.has(c.Key) {
		return fmt.Errorf("%w: a root key signs no releases", ErrSignature)
	}
	if !t.has(c.Root) {
		return fmt.Errorf("%w: root key %s is not trusted here", ErrSignature, keyID(c.Root))
	}
	if !ed25519.Verify(c.Root, c.message(), c.Signature) {
		return fmt.Errorf("%w: root key %s did not certify release key %s", ErrSignature, keyID(c.Root), keyID(c.Key))
	}
	from, err := parseTime(c.NotBefore)
	if err != nil {
		return err
	}
	to, err := parseTime(c.NotAfter)
	if err != nil {
		return err
	}
	if !now.IsZero() && (now.Before(from) || !now.Before(to)) {
		return fmt.Errorf("release key %s, valid from %s to %s: %w", keyID(c.Key), c.NotBefore, c.NotAfter, ErrExpired)
	}
	return nil
}

func (t Trust) has(key ed25519.PublicKey) bool {
	for _, r := range t.roots {
		if r.Equal(key) {
			return true
		}
	}
	return false
}

func (p Policy) check(m Manifest) error {
	expires, err := m.ExpiryTime()
	switch {
	case err != nil:
		return err
	case p.Board != "" && m.Board != p.Board:
		return fmt.Errorf("%w: of board %s, not %s", ErrOther, m.Board, p.Board)
	case !p.Now.IsZero() && !p.Now.Before(expires):
		return fmt.Errorf("%w on %s", ErrExpired, m.Expires)
	case p.Minimum != "" && CompareVersions(m.Version, p.Minimum) < 0:
		return fmt.Errorf("%w: below the minimum %s", ErrDowngrade, p.Minimum)
	}
	return nil
}
