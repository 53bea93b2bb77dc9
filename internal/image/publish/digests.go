package publish

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
)

// digests of the published files; the weak ones are there for old scripts.
var digestKinds = []struct {
	title string
	make  func() hash.Hash
}{{"MD5", md5.New}, {"SHA1", sha1.New}, {"SHA512", sha512.New}}

// signFile writes FILE.sig.
func signFile(name string, key *openpgp.Entity, date time.Time) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var sig bytes.Buffer
	if err := openpgp.DetachSign(&sig, key, f, signing(key, date)); err != nil {
		return fmt.Errorf("signing %s: %w", filepath.Base(name), err)
	}
	return os.WriteFile(name+".sig", sig.Bytes(), 0o644)
}

// writeDigests writes FILE.DIGESTS with its two kinds of signatures.
func writeDigests(name string, key *openpgp.Entity, date time.Time) error {
	text, err := digestText(name)
	if err != nil {
		return fmt.Errorf("hashing %s: %w", filepath.Base(name), err)
	}
	if err := os.WriteFile(name+".DIGESTS", text, 0o644); err != nil {
		return err
	}
	if err := signFile(name+".DIGESTS", key, date); err != nil {
		return err
	}
	var clear bytes.Buffer
	w, err := clearsign.Encode(&clear, key.PrivateKey, signing(key, date))
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("signing %s.DIGESTS: %w", filepath.Base(name), err)
	}
	return os.WriteFile(name+".DIGESTS.asc", append(clear.Bytes(), '\n'), 0o644)
}

// digestText has a section for each kind, as sha512sum -c and the like read.
func digestText(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []io.Writer
	var sums []hash.Hash
	for _, k := range digestKinds {
		h := k.make()
		all, sums = append(all, h), append(sums, h)
	}
	if _, err := io.Copy(io.MultiWriter(all...), f); err != nil {
		return nil, err
	}
	var text []byte
	for i, k := range digestKinds {
		text = fmt.Appendf(text, "# %s HASH\n%x  %s\n", k.title, sums[i].Sum(nil), filepath.Base(name))
	}
	return text, nil
}

// sumFile returns size and SHA-256 of a file.
func sumFile(name string) (int64, [32]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, [32]byte{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, [32]byte(h.Sum(nil)), err
}
