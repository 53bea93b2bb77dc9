package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"wellcar.dev/internal/sys/filelock"
)

// An item is one file to download, with what it must be.
type item struct {
	Name    string // for messages: "bash_5.2.37-2_amd64"
	Address string
	Else    string // address to try if the first one has it not; may be empty
	Path    string // where it ends up, on the disk
	Size    int64  // bytes
	SHA256  string // hexadecimal
	Says    string // who says size and hash: "the lock"
}

// moved is how much must come for a failed try not to count.
const moved = 1 << 20

// download brings one item to its path. The bytes grow in Path+".partial",
// which a later call continues, and get the final name once they are right.
// note is told of bytes done; a negative number takes some back.
func (c Client) download(ctx context.Context, it item, note func(int64)) error {
	err := c.downloadTo(ctx, it, note)
	if errors.Is(err, ErrNotFound) && it.Else != "" {
		it.Address, it.Else = it.Else, ""
		return c.download(ctx, it, note)
	}
	if err != nil {
		return fmt.Errorf("downloading %s from %s: %w", it.Name, shown(it.Address), err)
	}
	return nil
}

func (c Client) downloadTo(ctx context.Context, it item, note func(int64)) (err error) {
	if err := os.MkdirAll(filepath.Dir(it.Path), 0o777); err != nil {
		return err
	}
	partial := it.Path + ".partial"
	f, err := openPartial(partial)
	if err != nil {
		return err
	}
	s := &sink{file: f, out: f, own: f.Name() != partial, limit: it.Size, sum: sha256.New(), note: note, says: it.Says}
	if c.wrap != nil {
		s.out = c.wrap(f)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if isWhole(it.Path, it.Size) { // another process was faster
		note(it.Size)
		return s.reset()
	}
	resumed, err := s.resume()
	if err != nil {
		return err
	}
	err = c.fill(ctx, it, s)
	if errors.Is(err, errWrongHash) && resumed {
		if err := s.reset(); err != nil {
			return err
		}
		err = c.fill(ctx, it, s)
	}
	if err != nil {
		return err
	}
	return s.commit(it.Path)
}

// fill gets the missing bytes and checks the whole.
func (c Client) fill(ctx context.Context, it item, s *sink) error {
	err := c.retry(ctx, func(ctx context.Context) (bool, error) {
		before := s.n
		err := c.attempt(ctx, it, s)
		return s.n >= before+moved, err
	})
	if errors.Is(err, errWrongSize) {
		return errors.Join(err, s.reset())
	}
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(s.sum.Sum(nil)); got != it.SHA256 {
		return errors.Join(fmt.Errorf("%w: its SHA-256 is %s, %s says %s", errWrongHash, got, it.Says, it.SHA256), s.reset())
	}
	return nil
}

var (
	errWrongHash = errors.New("it is not the expected file")
	errWrongSize = errors.New("it has the wrong size")
)

// attempt is one request for the bytes after those that s holds.
func (c Client) attempt(ctx context.Context, it item, s *sink) error {
	if s.n == it.Size && s.n > 0 {
		return nil
	}
	a, err := c.open(ctx, it.Address, s.n)
	if errors.Is(err, errBadRange) {
		return errors.Join(err, s.reset())
	}
	if err != nil {
		return err
	}
	defer a.Close()
	if a.total >= 0 && a.total != it.Size {
		return permanent{fmt.Errorf("%w: the server has %d bytes, %s says %d", errWrongSize, a.total, it.Says, it.Size)}
	}
	if a.offset != s.n {
		if err := s.reset(); err != nil {
			return err
		}
	}
	if _, err := io.Copy(s, a); err != nil {
		return err
	}
	if s.n < it.Size {
		return fmt.Errorf("the answer ended after %d of %d bytes: %w", s.n, it.Size, io.ErrUnexpectedEOF)
	}
	return nil
}

// A sink is a partial file that is hashed as it grows.
type sink struct {
	file  *os.File
	out   io.Writer // to file
	sum   hash.Hash
	n     int64 // bytes in file
	limit int64 // bytes that the file must have
	says  string
	note  func(int64)
	own   bool // under a name that no later run looks for
	gone  bool // has its final name
}

// Write implements io.Writer. Its errors are permanent: another request does
// not cure a full disk or a file that is too long.
func (s *sink) Write(p []byte) (int, error) {
	if s.n+int64(len(p)) > s.limit {
		return 0, permanent{fmt.Errorf("%w: it is longer than the %d bytes that %s says", errWrongSize, s.limit, s.says)}
	}
	n, err := s.out.Write(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	s.note(int64(n))
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w (this file needs %d more bytes; the next run continues it)", err, s.limit-s.n)
	}
	if err != nil {
		return n, permanent{fmt.Errorf("writing to the cache: %w", err)}
	}
	return n, nil
}

// resume hashes what an earlier run left; it tells whether there was any.
func (s *sink) resume() (bool, error) {
	info, err := s.file.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() > s.limit {
		return false, s.reset()
	}
	s.n, err = io.Copy(s.sum, s.file)
	if err != nil {
		return false, err
	}
	s.note(s.n)
	return s.n > 0, nil
}

// reset empties the file.
func (s *sink) reset() error {
	s.note(-s.n)
	s.n = 0
	s.sum.Reset()
	if err := s.file.Truncate(0); err != nil {
		return permanent{err}
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return permanent{err}
	}
	return nil
}

// commit gives the file its final name. It is on the disk by then, because
// later runs trust the name and the size.
func (s *sink) commit(name string) error {
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.gone = true
	return os.Rename(s.file.Name(), name)
}

// close keeps the bytes so far for the next run, if it would find them.
func (s *sink) close() error {
	if !s.gone && (s.n == 0 || s.own) {
		if err := os.Remove(s.file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, s.file.Close())
		}
	}
	return s.file.Close()
}

// openPartial opens the partial file for this process alone. If another
// process holds it, a file of another name is used, so that two builds at the
// same time cost bandwidth but never mix their bytes.
func openPartial(name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		if err := filelock.Try(f); err != nil {
			if err := f.Close(); err != nil {
				return nil, err
			}
			return os.CreateTemp(filepath.Dir(name), filepath.Base(name)+"-*")
		}
		// The holder before may have renamed or removed the file meanwhile.
		mine, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if named, err := os.Stat(name); err == nil && os.SameFile(mine, named) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// isWhole tells whether a file exists and has the size.
func isWhole(name string, size int64) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}
