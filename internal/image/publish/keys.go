package publish

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"wellcar.dev/internal/format/crau"
	"wellcar.dev/internal/release"
)

// The files of a folder of keys. Only the first is needed to make a release
// key, only the others to make a release.
const (
	RootKeyFile     = "root.pem" // to be kept offline
	RootPublicFile  = "root.pub.pem"
	KeyFile         = "release.pem"
	CertificateFile = "release.certificates.json"
	ImageKeyFile    = "image.asc" // OpenPGP, private
	ImagePublicFile = "image.pub.asc"

	PayloadKeyFile    = "payload.pem" // RSA, of payloads for update_engine
	PayloadPublicFile = "payload.pub.pem"
)

// Keys are what a release is signed with.
type Keys struct {
	Release      release.PrivateKey
	Certificates []release.Certificate
	Image        *openpgp.Entity // of the OpenPGP signatures
	Payload      *crau.Signer    // of payloads for update_engine; nil: there is none
}

// LoadKeys reads the keys of a folder that CreateKeys made.
func LoadKeys(dir string) (Keys, error) {
	var k Keys
	data, err := os.ReadFile(filepath.Join(dir, KeyFile))
	if err == nil {
		k.Release, err = release.ParsePrivateKey(data)
	}
	if err != nil {
		return k, fmt.Errorf("reading the keys in %s: %w; make some with wellcar release keys", dir, err)
	}
	if data, err = os.ReadFile(filepath.Join(dir, CertificateFile)); err == nil {
		k.Certificates, err = release.ParseCertificates(data)
	}
	if err != nil {
		return k, fmt.Errorf("reading the keys in %s: %w", dir, err)
	}
	if data, err = os.ReadFile(filepath.Join(dir, ImageKeyFile)); err == nil {
		k.Image, err = entity(data)
	}
	if err != nil {
		return k, fmt.Errorf("reading the key of the images in %s: %w", dir, err)
	}
	data, err = os.ReadFile(filepath.Join(dir, PayloadKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	var payload crau.Signer
	if err == nil {
		payload, err = crau.ParseKey(data)
	}
	if err != nil {
		return k, fmt.Errorf("reading the keys in %s: %w", dir, err)
	}
	k.Payload = &payload
	return k, nil
}

func entity(armored []byte) (*openpgp.Entity, error) {
	all, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || all[0].PrivateKey == nil || all[0].PrivateKey.Encrypted {
		return nil, errors.New("it must hold one private key without a passphrase")
	}
	return all[0], nil
}

// KeyOptions are the choices of new keys.
type KeyOptions struct {
	Root     []byte // an existing root key; nil makes one
	From, To time.Time
	Random   io.Reader
}

// CreateKeys makes a release key that a root key certifies, and the root key
// and the key of the images unless they are there. It overwrites nothing but
// the release key and its certificates.
func CreateKeys(dir string, o KeyOptions) (root, key release.PrivateKey, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return root, key, fmt.Errorf("making keys: %w", err)
	}
	if root, err = rootKey(dir, o); err != nil {
		return root, key, err
	}
	if key, err = release.GenerateKey(o.Random); err != nil {
		return root, key, err
	}
	certificate, err := release.Certify(root, key, o.From, o.To)
	if err != nil {
		return root, key, err
	}
	private, err := key.Marshal()
	if err != nil {
		return root, key, err
	}
	certificates, err := release.MarshalCertificates([]release.Certificate{certificate})
	if err != nil {
		return root, key, err
	}
	public, err := root.MarshalPublic()
	if err != nil {
		return root, key, err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{{KeyFile, private, 0o600}, {CertificateFile, certificates, 0o644}, {RootPublicFile, public, 0o644}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
			return root, key, fmt.Errorf("making keys: %w", err)
		}
	}
	return root, key, errors.Join(imageKey(dir, o), payloadKey(dir, o))
}

// rootKey reads the root key, or makes it.
func rootKey(dir string, o KeyOptions) (release.PrivateKey, error) {
	if o.Root != nil {
		return release.ParsePrivateKey(o.Root)
	}
	name := filepath.Join(dir, RootKeyFile)
	if data, err := os.ReadFile(name); err == nil {
		return release.ParsePrivateKey(data)
	}
	root, err := release.GenerateKey(o.Random)
	if err != nil {
		return root, err
	}
	data, err := root.Marshal()
	if err == nil {
		err = os.WriteFile(name, data, 0o600)
	}
	if err != nil {
		return root, fmt.Errorf("making the root key: %w", err)
	}
	return root, nil
}

// imageKey makes an OpenPGP key unless there is one.
func imageKey(dir string, o KeyOptions) error {
	name := filepath.Join(dir, ImageKeyFile)
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	config := pgpConfig(o.From)
	config.Rand, config.Algorithm = o.Random, packet.PubKeyAlgoEdDSA
	e, err := openpgp.NewEntity("Wellcar Container Linux images", "", "", config)
	if err != nil {
		return fmt.Errorf("making the key of the images: %w", err)
	}
	private, err := armored(openpgp.PrivateKeyType, func(w io.Writer) error { return e.SerializePrivate(w, config) })
	if err != nil {
		return fmt.Errorf("making the key of the images: %w", err)
	}
	public, err := armored(openpgp.PublicKeyType, e.Serialize)
	if err != nil {
		return fmt.Errorf("making the key of the images: %w", err)
	}
	if err := os.WriteFile(name, private, 0o600); err != nil {
		return fmt.Errorf("making the key of the images: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ImagePublicFile), public, 0o644); err != nil {
		return fmt.Errorf("making the key of the images: %w", err)
	}
	return nil
}

// payloadKey makes an RSA key unless there is one.
func payloadKey(dir string, o KeyOptions) error {
	name := filepath.Join(dir, PayloadKeyFile)
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	key, err := crau.GenerateKey(o.Random)
	if err != nil {
		return err
	}
	private, err := key.Marshal()
	if err != nil {
		return err
	}
	public, err := key.MarshalPublic()
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, private, 0o600); err != nil {
		return fmt.Errorf("making the key of payloads: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, PayloadPublicFile), public, 0o644); err != nil {
		return fmt.Errorf("making the key of payloads: %w", err)
	}
	return nil
}

func armored(kind string, write func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		return nil, err
	}
	if err := write(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return append(b.Bytes(), '\n'), nil
}

// signing is for signatures of a key that may be younger than what it signs:
// a release has the date of its packages.
func signing(key *openpgp.Entity, date time.Time) *packet.Config {
	if made := key.PrimaryKey.CreationTime; made.After(date) {
		date = made
	}
	return pgpConfig(date)
}

// pgpConfig makes signatures that depend on the key, the bytes and a date.
func pgpConfig(date time.Time) *packet.Config {
	plain := false
	return &packet.Config{
		DefaultHash: crypto.SHA512, Time: func() time.Time { return date },
		NonDeterministicSignaturesViaNotation: &plain,
	}
}
