package vm_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
	"wellcar.dev/test/disk"
)

// built is a built image, open for making payloads.
type built struct {
	payload.Image
	version string
	tree    int64 // bytes
}

// openBuilt reads what a build left in a folder.
func (r *rig) openBuilt(dir string) built {
	r.Helper()
	data, err := os.ReadFile(filepath.Join(dir, image.BuildFile))
	r.must(err)
	var rec image.Record
	r.must(json.Unmarshal(data, &rec))
	f, err := os.Open(filepath.Join(dir, image.DiskFile))
	r.must(err)
	r.Cleanup(func() { f.Close() })
	table, err := disk.Table(f.Name())
	r.must(err)
	at, size, err := disk.Place(table, layout.UsrA)
	r.must(err)
	usr := io.NewSectionReader(f, at, size)
	uki, err := os.ReadFile(filepath.Join(dir, image.UKIFile))
	r.must(err)
	b := built{version: rec.Version, tree: rec.Usr.TreeSize}
	block := make([]byte, verity.BlockSize)
	_, err = usr.ReadAt(block, rec.Usr.DataSize)
	r.must(err)
	sb, err := verity.ReadSuperblock(block)
	r.must(err)
	hash, err := hex.DecodeString(rec.RootHash)
	r.must(err)
	b.Image = payload.Image{Usr: usr, UKI: bytes.NewReader(uki), Release: delta.Release{
		RootHash: [32]byte(hash), Salt: [32]byte(sb.Salt), UsrSize: rec.Usr.DataSize, UKISize: int64(len(uki)), UKIHash: sha256.Sum256(uki)}}
	return b
}

// publisher signs releases for machines that trust its key.
type publisher struct {
	*rig
	key          release.PrivateKey
	certificates []release.Certificate
	trust        []byte // PEM, for the machine
}

func (r *rig) newPublisher() *publisher {
	root, err := release.GenerateKey(rand.Reader)
	r.must(err)
	p := &publisher{rig: r}
	p.key, err = release.GenerateKey(rand.Reader)
	r.must(err)
	c, err := release.Certify(root, p.key, time.Unix(0, 0), time.Now().AddDate(1, 0, 0))
	r.must(err)
	p.certificates = []release.Certificate{c}
	p.trust, err = root.MarshalPublic()
	r.must(err)
	return p
}

// publish makes a release folder with a full payload, and deltas from others.
func (p *publisher) publish(next built, from ...built) (dir string) {
	p.Helper()
	dir = p.TempDir()
	digest := sha256.New()
	_, err := io.Copy(digest, io.NewSectionReader(next.Usr, 0, next.Release.UsrSize))
	p.must(err)
	to := next.Release
	m := release.Manifest{Schema: release.Schema, Product: release.Product, Board: "amd64-usr", Channel: "stable", Version: next.version, Minimum: "0.1.0",
		Expires: release.FormatTime(time.Now().AddDate(0, 1, 0)), RootHash: hex.EncodeToString(to.RootHash[:]), Salt: hex.EncodeToString(to.Salt[:]),
		UsrSize: to.UsrSize, TreeSize: next.tree, UsrHash: hex.EncodeToString(digest.Sum(nil)), UKISize: to.UKISize, UKIHash: hex.EncodeToString(to.UKIHash[:])}
	for _, old := range from {
		name := fmt.Sprintf("from-%s.delta", old.version)
		p.file(dir, name, func(w io.Writer) error {
			_, err := payload.Delta(p.ctx, old.Image, next.Image, w, payload.Options{Fast: true})
			return err
		})
		e := p.describe(dir, name, release.Delta)
		e.FromVersion, e.FromRootHash = old.version, hex.EncodeToString(old.Release.RootHash[:])
		m.Payloads = append(m.Payloads, e)
	}
	p.file(dir, "full.payload", func(w io.Writer) error {
		_, err := payload.Full(p.ctx, next.Image, w, io.Discard, payload.Options{Fast: true})
		return err
	})
	m.Payloads = append(m.Payloads, p.describe(dir, "full.payload", release.Full))
	data, err := release.Marshal(m)
	p.must(err)
	sig, err := release.Sign(data, p.key, p.certificates)
	p.must(err)
	p.must(os.WriteFile(filepath.Join(dir, release.ManifestFile), data, 0o644))
	p.must(os.WriteFile(filepath.Join(dir, release.SignatureFile), sig, 0o644))
	return dir
}

func (p *publisher) file(dir, name string, write func(io.Writer) error) {
	p.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	p.must(err)
	p.must(write(f))
	p.must(f.Close())
}

func (p *publisher) describe(dir, name string, kind release.Kind) release.Payload {
	p.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	p.must(err)
	head, err := delta.ParseHead(data)
	p.must(err)
	whole, start := sha256.Sum256(data), sha256.Sum256(data[:head.Size])
	p.Logf("%s of %d bytes", name, len(data))
	return release.Payload{Kind: kind, File: release.File{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(whole[:])},
		HeadSize: head.Size, HeadHash: hex.EncodeToString(start[:])}
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
