package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// sameContent compares two files; a missing one differs from any other.
// Where both are sparse only their data is read: a disk image is mostly holes.
func sameContent(ctx context.Context, nameA, nameB string) (bool, error) {
	a, errA := os.Open(nameA)
	b, errB := os.Open(nameB)
	defer a.Close() // closing a nil file does nothing
	defer b.Close()
	if err := errors.Join(errA, errB); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	sizeA, err := a.Seek(0, io.SeekEnd)
	if err != nil {
		return false, err
	}
	sizeB, err := b.Seek(0, io.SeekEnd)
	if err != nil || sizeA != sizeB {
		return false, err
	}
	bufA, bufB := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := min(nextData(a, 0, sizeA), nextData(b, 0, sizeA)); at < sizeA; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(int64(len(bufA)), sizeA-at)
		if _, err := a.ReadAt(bufA[:n], at); err != nil {
			return false, err
		}
		if _, err := b.ReadAt(bufB[:n], at); err != nil {
			return false, err
		}
		if !bytes.Equal(bufA[:n], bufB[:n]) {
			return false, nil
		}
		at = min(nextData(a, at+n, sizeA), nextData(b, at+n, sizeA))
	}
	return true, nil
}

// seekData is lseek(2)'s SEEK_DATA on Linux; elsewhere the number means
// something else, and whole files are read.
const seekData = 3

// nextData returns where the first data at or after an offset is, or size.
func nextData(f *os.File, at, size int64) int64 {
	if runtime.GOOS != "linux" || at >= size {
		return at
	}
	next, err := f.Seek(at, seekData)
	if err == nil {
		return next
	}
	if errors.Is(err, syscall.ENXIO) {
		return size
	}
	return at // the file system does not tell
}
