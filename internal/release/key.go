package release

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// PEM block types, as openssl writes and reads them.
const (
	publicBlock  = "PUBLIC KEY"
	privateBlock = "PRIVATE KEY"
)

// Trust is the set of root keys that a machine believes.
type Trust struct {
	roots []ed25519.PublicKey
}

// ParseTrust reads root keys: PEM, SubjectPublicKeyInfo, any number of blocks.
// Text between the blocks is a comment.
func ParseTrust(data []byte) (Trust, error) {
	var t Trust
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != publicBlock {
			return Trust{}, fmt.Errorf("reading release keys: a block %q where only %q belongs", b.Type, publicBlock)
		}
		key, err := publicKey(b.Bytes)
		if err != nil {
			return Trust{}, fmt.Errorf("reading release keys: %w", err)
		}
		t.roots = append(t.roots, key)
	}
	if len(t.roots) == 0 {
		return Trust{}, errors.New("reading release keys: there is no PEM block of a public key")
	}
	return t, nil
}

func publicKey(der []byte) (ed25519.PublicKey, error) {
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := k.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T, not Ed25519", k)
	}
	return key, nil
}

// PrivateKey is a root key or a release key.
type PrivateKey struct{ key ed25519.PrivateKey }

// GenerateKey makes a key from a source of randomness.
func GenerateKey(random io.Reader) (PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return PrivateKey{}, fmt.Errorf("making a release key: %w", err)
	}
	return PrivateKey{ed25519.NewKeyFromSeed(seed)}, nil
}

// ParsePrivateKey reads a key: PEM, PKCS #8.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	b, _ := pem.Decode(data)
	if b == nil || b.Type != privateBlock {
		return PrivateKey{}, fmt.Errorf("reading a release key: there is no PEM block %q", privateBlock)
	}
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("reading a release key: %w", err)
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return PrivateKey{}, fmt.Errorf("reading a release key: it is of type %T, not Ed25519", k)
	}
	return PrivateKey{key}, nil
}

// Marshal writes the key for ParsePrivateKey.
func (k PrivateKey) Marshal() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, fmt.Errorf("writing a release key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// MarshalPublic writes the public half for ParseTrust.
func (k PrivateKey) MarshalPublic() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		return nil, fmt.Errorf("writing a release key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

func (k PrivateKey) public() ed25519.PublicKey { return k.key.Public().(ed25519.PublicKey) }

// ID is a short name of the key, for messages.
func (k PrivateKey) ID() string { return keyID(k.public()) }

func keyID(k ed25519.PublicKey) string {
	sum := sha256.Sum256(k)
	return hex.EncodeToString(sum[:8])
}
