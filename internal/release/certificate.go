package release

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The first lines of the two kinds of signed messages.
const (
	certificateMessage = "wellcar release key, schema 1\n"
	manifestMessage    = "wellcar release manifest, schema 1\n"
)

// Certificate is the word of a root key that a release key may sign
// manifests for a span of time.
type Certificate struct {
	Key       []byte `json:"key"`        // Ed25519, 32 bytes
	NotBefore string `json:"not_before"` // as Manifest.Expires
	NotAfter  string `json:"not_after"`
	Root      []byte `json:"root"` // the root key that signed
	Signature []byte `json:"signature"`
}

// message is what the root key signs.
func (c Certificate) message() []byte {
	return fmt.Appendf(nil, "%s%x\n%s\n%s\n", certificateMessage, c.Key, c.NotBefore, c.NotAfter)
}

// Certify lets a release key sign from one time to another. It takes the
// root key, and nothing else of the release: so it can be done offline, once
// for each release key.
func Certify(root, key PrivateKey, from, to time.Time) (Certificate, error) {
	if root.key.Equal(key.key) {
		return Certificate{}, errors.New("certifying a release key: it is the root key itself")
	}
	if !from.Before(to) {
		return Certificate{}, fmt.Errorf("certifying a release key: %s is not before %s", FormatTime(from), FormatTime(to))
	}
	c := Certificate{Key: key.public(), NotBefore: FormatTime(from), NotAfter: FormatTime(to), Root: root.public()}
	c.Signature = ed25519.Sign(root.key, c.message())
	return c, nil
}

// ParseCertificates reads a file of certificates of one release key: one for
// each root key that is trusted somewhere.
func ParseCertificates(data []byte) ([]Certificate, error) {
	s, err := parseSignature(data)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of a release key: %w", err)
	}
	return s.Certificates, nil
}

// MarshalCertificates writes a file for ParseCertificates.
func MarshalCertificates(all []Certificate) ([]byte, error) {
	return marshalSignature(Signature{Certificates: all})
}

// Signature is the content of manifest.json.sig.
type Signature struct {
	Certificates []Certificate `json:"certificates"` // of the key that signed
	Signature    []byte        `json:"signature,omitempty"`
}

func marshalSignature(s Signature) ([]byte, error) {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing a release signature: %w", err)
	}
	return append(data, '\n'), nil
}

func parseSignature(data []byte) (Signature, error) {
	var s Signature
	if len(data) > MaxSignature {
		return s, fmt.Errorf("it has %d bytes, more than %d", len(data), MaxSignature)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	for _, c := range s.Certificates {
		if len(c.Key) != ed25519.PublicKeySize || len(c.Root) != ed25519.PublicKeySize {
			return s, errors.New("a key in it has a wrong size")
		}
	}
	return s, nil
}

// Sign signs an encoded manifest with a release key, whose certificates go
// along.
func Sign(manifest []byte, key PrivateKey, certificates []Certificate) ([]byte, error) {
	if len(certificates) == 0 {
		return nil, errors.New("signing a release: no root key has certified the release key")
	}
	for _, c := range certificates {
		if !key.public().Equal(ed25519.PublicKey(c.Key)) {
			return nil, fmt.Errorf("signing a release: a certificate is for key %s, not %s", keyID(c.Key), key.ID())
		}
	}
	signed := append([]byte(manifestMessage), manifest...)
	return marshalSignature(Signature{certificates, ed25519.Sign(key.key, signed)})
}
