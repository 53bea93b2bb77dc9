//go:build linux

package initrd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepDuplicates, in the upper /etc, turns the clean-up off.
const keepDuplicates = ".no-dup-update"

// noWhiteout are the entries of /etc that a machine needs to boot and to be
// logged in to. Their deletion does not persist.
var noWhiteout = []string{"passwd", "group", "shadow", "gshadow", "nsswitch.conf", "pam.d"}

// CleanEtc deletes from the upper layer of /etc what says the same as the
// shipped lower layer, so that a later release can change it: files and links
// of equal content, mode and owner, and directories that are then empty.
// Whiteouts (deletions by the administrator) stay, except of noWhiteout. It
// must run while the two are not mounted over each other, and returns the
// deleted paths. An error about one entry does not keep the others.
func CleanEtc(upper, lower string) (removed []string, err error) {
	if _, err := os.Lstat(filepath.Join(upper, keepDuplicates)); err == nil {
		return nil, nil
	}
	c := cleaner{upper: upper, lower: lower}
	c.dir(".")
	return c.removed, errors.Join(c.errs...)
}

type cleaner struct {
	upper, lower string
	removed      []string
	errs         []error
}

// dir cleans a directory's entries.
func (c *cleaner) dir(path string) {
	entries, err := os.ReadDir(filepath.Join(c.upper, path))
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("cleaning /etc: %w", err))
		return
	}
	for _, e := range entries {
		c.entry(filepath.Join(path, e.Name()))
	}
}

func (c *cleaner) entry(path string) {
	upper, lower := filepath.Join(c.upper, path), filepath.Join(c.lower, path)
	ours, err := os.Lstat(upper)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("cleaning /etc: %w", err))
		return
	}
	if ours.IsDir() && !marked(upper) {
		c.dir(path)
	}
	same := isWhiteout(ours) && slices.Contains(noWhiteout, path)
	if theirs, err := os.Lstat(lower); err == nil && !same {
		if same, err = equal(upper, lower, ours, theirs); err != nil {
			c.errs = append(c.errs, fmt.Errorf("comparing /etc/%s: %w", path, err))
			return
		}
	}
	if !same {
		return
	}
	if err := os.Remove(upper); err != nil {
		c.errs = append(c.errs, fmt.Errorf("cleaning /etc: %w", err))
		return
	}
	c.removed = append(c.removed, path)
}

// isWhiteout says whether an entry is overlayfs's mark of a deletion, a
// character device 0:0.
func isWhiteout(info fs.FileInfo) bool {
	return info.Mode()&fs.ModeCharDevice != 0 && info.Sys().(*syscall.Stat_t).Rdev == 0
}

func owner(info fs.FileInfo) [2]uint32 {
	st := info.Sys().(*syscall.Stat_t)
	return [2]uint32{st.Uid, st.Gid}
}

// marked says that a directory hides or renames the shipped one; then nothing
// below it corresponds to the lower layer.
func marked(dir string) bool {
	for _, name := range []string{"trusted.overlay.opaque", "trusted.overlay.redirect"} {
		if n, err := unix.Lgetxattr(dir, name, nil); err == nil && n > 0 {
			return true
		}
	}
	return false
}

func equal(upper, lower string, ours, theirs fs.FileInfo) (bool, error) {
	if ours.Mode() != theirs.Mode() || owner(ours) != owner(theirs) {
		return false, nil
	}
	switch ours.Mode().Type() {
	case 0:
		if ours.Size() != theirs.Size() {
			return false, nil
		}
		return equalFiles(upper, lower)
	case fs.ModeSymlink:
		a, errA := os.Readlink(upper)
		b, errB := os.Readlink(lower)
		return a == b, errors.Join(errA, errB)
	case fs.ModeDir:
		if marked(upper) {
			return false, nil
		}
		entries, err := os.ReadDir(upper)
		return len(entries) == 0, err
	}
	return false, nil
}

func equalFiles(a, b string) (bool, error) {
	fa, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		ended := errors.Is(errA, io.EOF) || errors.Is(errA, io.ErrUnexpectedEOF)
		if ended || errA != nil || errB != nil {
			return ended, unexpected(errA, errB)
		}
	}
}

// unexpected joins errors other than the end of a file.
func unexpected(errs ...error) error {
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool {
		return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	})...)
}

// blankMachineID is the id of an image that was never started.
const blankMachineID = "42000000000000000000000000000042"

// removeBlankMachineID deletes an /etc/machine-id that is empty or the
// image's, so that the system makes one of its own.
func removeBlankMachineID(etc string) error {
	path := filepath.Join(etc, "machine-id")
	id, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the machine id: %w", err)
	}
	if text := strings.TrimSpace(string(id)); text != "" && text != blankMachineID {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the blank machine id: %w", err)
	}
	return nil
}
