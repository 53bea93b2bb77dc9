package machine

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/release"
)

// Publisher signs releases.
type Publisher struct {
	Trust        []byte // the public keys that a machine is given
	key          release.PrivateKey
	certificates []release.Certificate
}

// Now is when releases are made and machines run.
var Now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// NewPublisher has keys of its own.
func NewPublisher(t *testing.T) *Publisher {
	t.Helper()
	root, err := release.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &Publisher{}
	if p.key, err = release.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	c, err := release.Certify(root, p.key, Now.AddDate(0, -1, 0), Now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	p.certificates = []release.Certificate{c}
	if p.Trust, err = root.MarshalPublic(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Publish makes a release folder of an image, with deltas from others.
func (p *Publisher) Publish(t *testing.T, next Image, from ...Image) string {
	t.Helper()
	dir := t.TempDir()
	to := next.Release
	digest := sha256.Sum256(next.Usr[:to.UsrSize])
	m := release.Manifest{Schema: release.Schema, Product: release.Product, Board: "amd64-usr", Channel: "stable", Version: next.Version, Minimum: "1.0.0",
		Expires: release.FormatTime(Now.AddDate(0, 1, 0)), RootHash: hex.EncodeToString(to.RootHash[:]), Salt: hex.EncodeToString(to.Salt[:]),
		UsrSize: to.UsrSize, TreeSize: int64(len(next.Usr)) - to.UsrSize, UsrHash: hex.EncodeToString(digest[:]), UKISize: to.UKISize, UKIHash: hex.EncodeToString(to.UKIHash[:])}
	var b bytes.Buffer
	for _, old := range from {
		b.Reset()
		if _, err := payload.Delta(t.Context(), old.Image, next.Image, &b, payload.Options{}); err != nil {
			t.Fatal(err)
		}
		e := addPayload(t, dir, "from-"+old.Version+".delta", release.Delta, b.Bytes())
		e.FromVersion, e.FromRootHash = old.Version, hex.EncodeToString(old.Release.RootHash[:])
		m.Payloads = append(m.Payloads, e)
	}
	b.Reset()
	var index bytes.Buffer
	if _, err := payload.Full(t.Context(), next.Image, &b, &index, payload.Options{}); err != nil {
		t.Fatal(err)
	}
	m.Payloads = append(m.Payloads, addPayload(t, dir, "full.payload", release.Full, b.Bytes()))
	Write(t, dir, "full.index", index.Bytes())
	sum := sha256.Sum256(index.Bytes())
	m.Payloads = append(m.Payloads, release.Payload{Kind: release.Index, File: release.File{Name: "full.index", Size: int64(index.Len()), SHA256: hex.EncodeToString(sum[:])},
		HeadSize: int64(index.Len()), HeadHash: hex.EncodeToString(sum[:])})
	data, err := release.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := release.Sign(data, p.key, p.certificates)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, dir, release.ManifestFile, data)
	Write(t, dir, release.SignatureFile, sig)
	return dir
}

func addPayload(t *testing.T, dir, name string, kind release.Kind, data []byte) release.Payload {
	t.Helper()
	Write(t, dir, name, data)
	head, err := delta.ParseHead(data)
	if err != nil {
		t.Fatal(err)
	}
	whole, start := sha256.Sum256(data), sha256.Sum256(data[:head.Size])
	return release.Payload{Kind: kind, File: release.File{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(whole[:])},
		HeadSize: head.Size, HeadHash: hex.EncodeToString(start[:])}
}

// Write makes a file below a folder.
func Write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
