package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// CheckFile reads a file of the release to its end and compares size and
// digest. It reads one byte more than the manifest says, not all that a
// server may send.
func (f File) CheckFile(r io.Reader) error {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, f.Size+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading %s: %w", f.Name, err)
	case n < f.Size:
		return fmt.Errorf("%s ends after %d bytes of %d", f.Name, n, f.Size)
	case n > f.Size:
		return fmt.Errorf("%s has more than its %d bytes", f.Name, f.Size)
	case hex.EncodeToString(h.Sum(nil)) != f.SHA256:
		return fmt.Errorf("%s does not have the digest that the manifest says", f.Name)
	}
	return nil
}
