package publish

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/release"
)

func usrSum(i payload.Image) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(i.Usr, 0, i.Release.UsrSize)); err != nil {
		return "", fmt.Errorf("reading /usr: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// CheckManifest reads and verifies the manifest of a release folder.
func CheckManifest(dir string, t release.Trust, p release.Policy) (release.Manifest, error) {
	manifest, err := os.ReadFile(filepath.Join(dir, release.ManifestFile))
	if err != nil {
		return release.Manifest{}, fmt.Errorf("verifying a release: %w", err)
	}
	signature, err := os.ReadFile(filepath.Join(dir, release.SignatureFile))
	if err != nil {
		return release.Manifest{}, fmt.Errorf("verifying a release: %w", err)
	}
	return release.Verify(t, manifest, signature, p)
}

// CheckFiles compares files of a release folder with its manifest: all of
// them if none is named. report counts bytes; it may be nil.
func CheckFiles(dir string, m release.Manifest, names []string, report func(done, total int64)) error {
	files, err := chosen(m, names)
	if err != nil {
		return err
	}
	done, total := int64(0), int64(0)
	for _, f := range files {
		total += f.Size
	}
	for _, f := range files {
		if err := checkFile(dir, f); err != nil {
			return fmt.Errorf("verifying a release: %w", err)
		}
		done += f.Size
		if report != nil {
			report(done, total)
		}
	}
	return nil
}

func chosen(m release.Manifest, names []string) ([]release.File, error) {
	if len(names) == 0 {
		return m.All(), nil
	}
	var out []release.File
	for _, name := range names {
		found := false
		for _, f := range m.All() {
			if f.Name == name {
				out, found = append(out, f), true
			}
		}
		if !found {
			return nil, fmt.Errorf("verifying a release: release %s has no file %s", m.Version, name)
		}
	}
	return out, nil
}

func checkFile(dir string, f release.File) error {
	in, err := os.Open(filepath.Join(dir, f.Name))
	if err != nil {
		return err
	}
	defer in.Close()
	return f.CheckFile(in)
}

// CheckOpenPGP verifies a file against the signature beside it, by a public
// key (armored). A file of digests that is clear-signed has it inside.
func CheckOpenPGP(name string, armoredKey []byte) error {
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armoredKey))
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	if strings.HasSuffix(name, ".DIGESTS.asc") {
		return checkClear(name, keys)
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("verifying a file: %w", err)
	}
	defer f.Close()
	sig, err := os.Open(name + ".sig")
	if err != nil {
		return fmt.Errorf("verifying %s: %w", name, err)
	}
	defer sig.Close()
	if _, err := openpgp.CheckDetachedSignature(keys, f, sig, nil); err != nil {
		return fmt.Errorf("verifying %s: %w", name, err)
	}
	return nil
}

func checkClear(name string, keys openpgp.EntityList) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("verifying a file: %w", err)
	}
	block, rest := clearsign.Decode(data)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("verifying %s: it is not clear-signed text", name)
	}
	if _, err := block.VerifySignature(keys, nil); err != nil {
		return fmt.Errorf("verifying %s: %w", name, err)
	}
	return nil
}

// SignedFiles lists the files of a folder that have an OpenPGP signature, or
// should have one: a release signs each of those names.
func SignedFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("verifying a release: %w", err)
	}
	var out []string
	seen := map[string]bool{}
	for _, e := range entries {
		if name, wants := strings.CutSuffix(e.Name(), ".sig"); wants || wantsSignature(e.Name()) {
			if name != release.ManifestFile && !seen[name] {
				out, seen[name] = append(out, filepath.Join(dir, name)), true
			}
		} else if strings.HasSuffix(e.Name(), ".DIGESTS.asc") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("verifying a release: %s has no file with an OpenPGP signature", dir)
	}
	return out, nil
}

// wantsSignature says that a release has a signature beside every file of that
// name.
func wantsSignature(name string) bool {
	if file, ok := strings.CutSuffix(name, ".DIGESTS"); ok {
		return slices.Contains(digested, file)
	}
	return slices.Contains(signed, name)
}
