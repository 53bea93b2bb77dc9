//go:build linux

package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/release"
)

// Verified is a release whose manifest was proved, and where its files are.
type Verified struct {
	Manifest release.Manifest
	// Base is the address that the names of files are joined to.
	Base string
	// Embedded is the file that carries the full payload within, from
	// EmbeddedAt on; "" if it is a file of its own.
	Embedded   string
	EmbeddedAt int64
}

// Verifier proves manifests against the machine's keys.
type Verifier struct {
	Root  string // where release.KeyPath is looked for, at each call
	Board string
	Prefs Prefs
	Now   time.Time
	// Exact is a version that a person asked for; it, and no other, may be
	// below the minimum of releases installed before.
	Exact string
}

// Verify checks a manifest, also against the highest minimum of the releases
// that the machine installed (MarkStaged keeps it), unless a person asked for
// the version.
func (v Verifier) Verify(manifest, signature []byte) (release.Manifest, error) {
	trust, err := v.trust()
	if err != nil {
		return release.Manifest{}, fail(omaha.CodeSignature, "%w", err)
	}
	policy := release.Policy{Now: v.latest(), Board: v.Board}
	m, err := release.Verify(trust, manifest, signature, policy)
	if err == nil && (v.Exact == "" || m.Version != v.Exact) {
		policy.Minimum, _ = v.Prefs.Get(PrefMinimum)
		m, err = release.Verify(trust, manifest, signature, policy)
	}
	if err != nil {
		return m, fail(omaha.CodeSignature, "%w", err)
	}
	v.remember()
	return m, nil
}

// latest is the machine's time, or the one at which it last believed a
// manifest if that is later: a clock that was set back, or lost its battery,
// makes nothing valid again. That time is no later than the expiry of that
// manifest, so that a clock that was wrong for once does no harm for ever.
func (v Verifier) latest() time.Time {
	text, _ := v.Prefs.Get(PrefTime)
	if seen, err := time.Parse(time.RFC3339, strings.TrimSpace(text)); err == nil && seen.After(v.Now) {
		return seen
	}
	return v.Now
}

// remember keeps the time at which a manifest was believed. Where nothing can
// be written, the next one does it.
func (v Verifier) remember() {
	if v.Now.Equal(v.latest()) {
		v.Prefs.Set(PrefTime, v.Now.UTC().Format(time.RFC3339))
	}
}

// OwnKeys is where a machine's owner puts the public keys of releases of their
// own, beside those of the image.
const OwnKeys = "/etc/wellcar/release-keys.pem"

// trust reads the keys of the image and the owner's.
func (v Verifier) trust() (release.Trust, error) {
	var keys []byte
	for _, name := range []string{release.KeyPath, OwnKeys} {
		data, err := os.ReadFile(filepath.Join(v.Root, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return release.Trust{}, fmt.Errorf("reading the release keys: %w", err)
		}
		keys = append(append(keys, data...), '\n')
	}
	trust, err := release.ParseTrust(keys)
	if err != nil {
		return trust, fmt.Errorf("%s and %s: %w", release.KeyPath, OwnKeys, err)
	}
	return trust, nil
}

// FetchManifest gets what an offer names, compares it with the offer, and
// proves it. The package is either a manifest, or a file that begins with one
// (release.PackageMagic).
func FetchManifest(ctx context.Context, r *Remote, o Offer, codebase string, v Verifier) (Verified, error) {
	url := omaha.Join(codebase, o.Package.Name)
	out := Verified{Base: codebase}
	manifest, signature, at, err := fetchSigned(ctx, r, o, url)
	if err != nil {
		return out, err
	}
	if at > 0 {
		out.Embedded, out.EmbeddedAt = o.Package.Name, at
	}
	if out.Manifest, err = v.Verify(manifest, signature); err != nil {
		return out, err
	}
	if out.Manifest.Version != o.Version {
		return out, fail(omaha.CodePayloadVerify, "comparing the manifest with the offer: it is of version %s, the server said %s", out.Manifest.Version, o.Version)
	}
	return out, nil
}

func fetchSigned(ctx context.Context, r *Remote, o Offer, url string) (manifest, signature []byte, at int64, err error) {
	head, err := r.head(ctx, url, release.PackageHeadSize)
	if err != nil {
		return nil, nil, 0, err
	}
	if lengths, err := release.ParsePackageHead(head); err == nil {
		all, err := r.head(ctx, url, lengths.Payload)
		if err != nil {
			return nil, nil, 0, err
		}
		manifest, signature = lengths.Split(all)
		return manifest, signature, lengths.Payload, nil
	}
	if manifest, err = r.small(ctx, url, release.MaxManifest); err != nil {
		return nil, nil, 0, err
	}
	if int64(len(manifest)) != o.Package.Size {
		return nil, nil, 0, fail(omaha.CodePayloadSize, "fetching %s: it has %d bytes, the server said %d", url, len(manifest), o.Package.Size)
	}
	if sha256.Sum256(manifest) != o.SHA256 {
		return nil, nil, 0, fail(omaha.CodePayloadHash, "fetching %s: it does not have the digest that the server said", url)
	}
	signature, err = r.small(ctx, url+".sig", release.MaxSignature)
	return manifest, signature, 0, err
}

// head fetches the first bytes of a file, or all if it is shorter.
func (r *Remote) head(ctx context.Context, url string, size int64) ([]byte, error) {
	data := make([]byte, size)
	n := 0
	err := r.patiently(ctx, func() error {
		body, err := r.open(ctx, url, 0, 0)
		if err != nil {
			return err
		}
		defer body.Close()
		n, err = readFull(body, data)
		return err
	})
	return data[:n], err
}

// OpenRemote reads a release from the folder of a web server.
func OpenRemote(ctx context.Context, r *Remote, base string, v Verifier) (Verified, error) {
	manifest, err := r.small(ctx, omaha.Join(base, release.ManifestFile), release.MaxManifest)
	if err != nil {
		return Verified{}, err
	}
	signature, err := r.small(ctx, omaha.Join(base, release.SignatureFile), release.MaxSignature)
	if err != nil {
		return Verified{}, err
	}
	m, err := v.Verify(manifest, signature)
	return Verified{Manifest: m, Base: base}, err
}

// OpenLocal reads a release from a folder or a package file of the machine.
func OpenLocal(path string, v Verifier) (Verified, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Verified{}, fmt.Errorf("opening the release: %w", err)
	}
	if !info.IsDir() {
		return openPackage(path, v)
	}
	manifest, err := os.ReadFile(filepath.Join(path, release.ManifestFile))
	if err != nil {
		return Verified{}, fmt.Errorf("opening the release: %w", err)
	}
	signature, err := os.ReadFile(filepath.Join(path, release.SignatureFile))
	if err != nil {
		return Verified{}, fmt.Errorf("opening the release: %w", err)
	}
	m, err := v.Verify(manifest, signature)
	return Verified{Manifest: m, Base: path}, err
}

var errNoPackage = errors.New("it is neither a release folder nor a package of one")

func openPackage(path string, v Verifier) (Verified, error) {
	f, err := os.Open(path)
	if err != nil {
		return Verified{}, fmt.Errorf("opening the release: %w", err)
	}
	defer f.Close()
	head := make([]byte, release.PackageHeadSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return Verified{}, fmt.Errorf("opening the release %s: %w", path, errNoPackage)
	}
	lengths, err := release.ParsePackageHead(head)
	if err != nil {
		return Verified{}, fmt.Errorf("opening the release %s: %w", path, errNoPackage)
	}
	all := make([]byte, lengths.Payload)
	if _, err := f.ReadAt(all, 0); err != nil {
		return Verified{}, fmt.Errorf("opening the release %s: %w", path, err)
	}
	manifest, signature := lengths.Split(all)
	m, err := v.Verify(manifest, signature)
	return Verified{Manifest: m, Base: filepath.Dir(path), Embedded: filepath.Base(path), EmbeddedAt: lengths.Payload}, err
}

// place is where the bytes of a payload are.
func (v Verified) place(p release.Payload) (name string, at int64) {
	if p.Kind == release.Full && v.Embedded != "" {
		return v.Embedded, v.EmbeddedAt
	}
	return p.Name, 0
}

func hashOf(text string) [32]byte {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return [32]byte{}
	}
	return [32]byte(raw)
}

// sameHead compares the head of a payload with the manifest.
func sameHead(p release.Payload, head []byte) error {
	if sum := sha256.Sum256(head); !bytes.Equal(sum[:], hashBytes(p.HeadHash)) {
		return fail(omaha.CodePayloadHash, "checking the head of %s: it does not have the digest that the manifest says", p.Name)
	}
	return nil
}

func hashBytes(text string) []byte { h := hashOf(text); return h[:] }
