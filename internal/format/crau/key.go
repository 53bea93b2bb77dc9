package crau

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// KeyBits is the size of keys: clients compare with signatures of RSA-2048.
const KeyBits = 2048

// Signer signs payloads.
type Signer struct{ key *rsa.PrivateKey }

// GenerateKey makes a key.
func GenerateKey(random io.Reader) (Signer, error) {
	key, err := rsa.GenerateKey(random, KeyBits)
	if err != nil {
		return Signer{}, fmt.Errorf("making the key of payloads: %w", err)
	}
	return Signer{key}, nil
}

// ParseKey reads a key: PEM, PKCS #8.
func ParseKey(data []byte) (Signer, error) {
	b, _ := pem.Decode(data)
	if b == nil {
		return Signer{}, errors.New("reading the key of payloads: there is no PEM block")
	}
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return Signer{}, fmt.Errorf("reading the key of payloads: %w", err)
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok || key.N.BitLen() != KeyBits {
		return Signer{}, fmt.Errorf("reading the key of payloads: it must be RSA with %d bits", KeyBits)
	}
	return Signer{key}, nil
}

// Size is the size of a signature, bytes.
func (s Signer) Size() int { return s.key.Size() }

// Marshal writes the key for ParseKey.
func (s Signer) Marshal() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return nil, fmt.Errorf("writing the key of payloads: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// MarshalPublic writes the public half as clients read it.
func (s Signer) MarshalPublic() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		return nil, fmt.Errorf("writing the key of payloads: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func (s Signer) sign(sum []byte) ([]byte, error) {
	return rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum)
}

// VerifySignatures says whether one of the signatures in the message at the
// end of a payload is by a public key (PEM); sum is the SHA-256 of all before
// the message.
func VerifySignatures(message, sum, publicKey []byte) error {
	b, _ := pem.Decode(publicKey)
	if b == nil {
		return errors.New("verifying a payload: the key is not PEM")
	}
	k, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		return fmt.Errorf("verifying a payload: %w", err)
	}
	key, ok := k.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("verifying a payload: a key of type %T, not RSA", k)
	}
	bad := errors.New("verifying a payload: it has no signature by that key")
	err = fields(message, func(_ int, _ uint64, entry []byte) error {
		version, sig := uint64(0), []byte(nil)
		err := fields(entry, func(field int, n uint64, data []byte) error {
			switch field {
			case entryVersion:
				version = n
			case entryData:
				sig = data
			}
			return nil
		})
		if version == signatureVersion && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, sig) == nil {
			bad = nil
		}
		return err
	})
	return errors.Join(err, bad)
}
