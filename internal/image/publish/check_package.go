package publish

import (
	"errors"
	"fmt"
	"io"
	"os"

	"wellcar.dev/internal/release"
)

// IsPackage says whether a file begins as a package does.
func IsPackage(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, fmt.Errorf("verifying a release: %w", err)
	}
	defer f.Close()
	head := make([]byte, release.PackageHeadSize)
	if _, err := io.ReadFull(f, head); err != nil {
		return false, nil // too short for one
	}
	return string(head[:len(release.PackageMagic)]) == release.PackageMagic, nil
}

// CheckPackage verifies the manifest within a package, and the full payload
// behind it. report counts its bytes; it may be nil.
func CheckPackage(name string, t release.Trust, p release.Policy, report func(done, total int64)) (release.Manifest, error) {
	f, err := os.Open(name)
	if err != nil {
		return release.Manifest{}, fmt.Errorf("verifying a release: %w", err)
	}
	defer f.Close()
	m, err := checkPackage(f, t, p, report)
	if err != nil {
		return m, fmt.Errorf("verifying the package %s: %w", name, err)
	}
	return m, nil
}

func checkPackage(r io.Reader, t release.Trust, p release.Policy, report func(done, total int64)) (m release.Manifest, err error) {
	head := make([]byte, release.PackageHeadSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return m, fmt.Errorf("reading its head: %w", err)
	}
	lengths, err := release.ParsePackageHead(head)
	if err != nil {
		return m, err
	}
	all := make([]byte, lengths.Payload)
	if _, err := io.ReadFull(r, all[copy(all, head):]); err != nil {
		return m, fmt.Errorf("reading its manifest: %w", err)
	}
	manifest, signature := lengths.Split(all)
	if m, err = release.Verify(t, manifest, signature, p); err != nil {
		return m, err
	}
	full, ok := m.Find(release.Full, "")
	if !ok {
		return m, errors.New("its manifest has no full payload")
	}
	return m, full.CheckFile(&counted{r: r, total: full.Size, report: report})
}

// counted reports how much was read.
type counted struct {
	r           io.Reader
	done, total int64
	report      func(done, total int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.report != nil && n > 0 {
		c.report(min(c.done, c.total), c.total)
	}
	return n, err
}
