// Package disk cuts up, copies and damages disk images for tests. Images are
// sparse: only what holds data is read and written.
//
// Limits: Linux and other systems with SEEK_DATA, 512-byte sectors.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
)

// Copy copies a whole image.
func Copy(to, from string) error { return CopyRange(to, from, 0, math.MaxInt64) }

// CopyRange copies size bytes of an image from an offset on, or as many as
// there are, to a new file.
func CopyRange(to, from string, at, size int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	size = min(size, info.Size()-at)
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err := copyExtents(out, in, at, size); err != nil {
		out.Close()
		return fmt.Errorf("copying %s: %w", from, err)
	}
	return out.Close()
}

func copyExtents(out, in *os.File, at, size int64) error {
	if err := out.Truncate(size); err != nil {
		return err
	}
	for end := at + size; ; {
		from, to, err := extent(in, at, end)
		if err != nil || from >= end {
			return err
		}
		if _, err := in.Seek(from, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(from-(end-size), io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, to-from); err != nil {
			return err
		}
		at = to
	}
}

// Sum writes the data of an image to w, a hash, each piece that is not zeros
// after its place: equal images give equal sums, and holes cost nothing.
func Sum(w hash.Hash, in *os.File) error {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d bytes\n", info.Size())
	const piece = 1 << 20
	zero, buf := make([]byte, piece), make([]byte, piece)
	for at, end := int64(0), info.Size(); ; at += piece {
		from, _, err := extent(in, at, end)
		if err != nil || from >= end {
			return err
		}
		at = from / piece * piece
		n := min(piece, end-at)
		if _, err := in.ReadAt(buf[:n], at); err != nil {
			return err
		}
		if !bytes.Equal(buf[:n], zero[:n]) {
			fmt.Fprintf(w, "at %d\n", at)
			w.Write(buf[:n])
		}
	}
}

// extent finds the first data at or after an offset; from is end if there are
// none.
func extent(f *os.File, at, end int64) (from, to int64, err error) {
	if at >= end {
		return end, end, nil
	}
	from, err = f.Seek(at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO), err == nil && from >= end:
		return end, end, nil
	case err != nil:
		return 0, 0, err
	}
	to, err = f.Seek(from, unix.SEEK_HOLE)
	return from, min(to, end), err
}

// Table reads an image's partition table.
func Table(name string) (gpt.Table, error) {
	f, err := os.Open(name)
	if err != nil {
		return gpt.Table{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return gpt.Table{}, err
	}
	t, _, err := gpt.Read(f, info.Size(), layout.SectorSize)
	return t, err
}

// Place is where a partition is, in bytes.
func Place(t gpt.Table, number int) (at, size int64, err error) {
	p, ok := t.Partition(number)
	if !ok {
		return 0, 0, fmt.Errorf("the table has no partition %d", number)
	}
	unit := int64(t.SectorSize)
	return int64(p.First) * unit, int64(p.Sectors()) * unit, nil
}

// Overwrite puts bytes into a file.
func Overwrite(name string, at int64, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, at); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// Flip inverts one byte of a file.
func Flip(name string, at int64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	b[0] = ^b[0]
	return Overwrite(name, at, b)
}
