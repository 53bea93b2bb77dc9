package publish

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/image/payload"
)

// build is the folder of a build, opened.
type build struct {
	dir    string
	record image.Record
	image  payload.Image
	disk   *os.File
	uki    *os.File
}

func openBuild(dir string) (*build, error) {
	record, err := image.ReadRecord(dir)
	if err != nil {
		return nil, err
	}
	b := &build{dir: dir, record: record}
	if err := b.open(); err != nil {
		b.Close()
		return nil, fmt.Errorf("reading the build in %s: %w", dir, err)
	}
	return b, nil
}

func (b *build) Close() {
	for _, f := range []*os.File{b.disk, b.uki} {
		if f != nil {
			f.Close()
		}
	}
}

func (b *build) open() (err error) {
	if b.disk, err = os.Open(filepath.Join(b.dir, image.DiskFile)); err != nil {
		return err
	}
	if b.uki, err = os.Open(filepath.Join(b.dir, image.UKIFile)); err != nil {
		return err
	}
	u := b.record.Usr
	b.image.Usr = io.NewSectionReader(b.disk, u.Offset, u.DataSize+u.TreeSize)
	b.image.UKI = b.uki
	r := &b.image.Release
	r.UsrSize, r.UKISize = u.DataSize, b.record.UKI.Size
	if r.RootHash, err = digest(b.record.RootHash); err != nil {
		return fmt.Errorf("root hash: %w", err)
	}
	if r.UKIHash, err = digest(b.record.UKI.SHA256); err != nil {
		return fmt.Errorf("digest of the UKI: %w", err)
	}
	head := make([]byte, verity.BlockSize)
	if _, err := b.image.Usr.ReadAt(head, u.DataSize); err != nil {
		return err
	}
	s, err := verity.ReadSuperblock(head)
	if err != nil {
		return err
	}
	if len(s.Salt) != len(r.Salt) {
		return fmt.Errorf("a salt of %d bytes instead of %d", len(s.Salt), len(r.Salt))
	}
	copy(r.Salt[:], s.Salt)
	return nil
}

func digest(text string) (out [32]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err == nil && len(raw) != len(out) {
		err = fmt.Errorf("%q is not a SHA-256", text)
	}
	copy(out[:], raw)
	return out, err
}

// check compares a build with what it says about itself.
func (b *build) check() error {
	r := b.image.Release
	if err := verity.Verify(b.image.Usr, 0, r.UsrSize, r.RootHash); err != nil {
		return fmt.Errorf("checking the build in %s: /usr: %w", b.dir, err)
	}
	_, sum, err := sumFile(b.uki.Name())
	if err != nil {
		return fmt.Errorf("checking the build in %s: %w", b.dir, err)
	}
	if sum != r.UKIHash {
		return fmt.Errorf("checking the build in %s: %s is not the one that build.json names", b.dir, image.UKIFile)
	}
	return nil
}

// OpenImage opens the release in the folder of a build.
func OpenImage(dir string) (payload.Image, func(), error) {
	b, err := openBuild(dir)
	if err != nil {
		return payload.Image{}, nil, err
	}
	return b.image, b.Close, nil
}
