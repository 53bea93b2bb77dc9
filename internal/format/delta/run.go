package delta

import (
	"errors"
	"fmt"
	"io"
)

// runner does the operations of one segment.
type runner struct {
	old        io.ReaderAt
	oldSize    int64
	out        *output
	control    cursor
	diff       io.Reader
	extra      io.Reader
	lastSource int64
	buf, buf2  []byte
}

const chunk = 256 << 10 // bytes read at once

func (r *runner) run(size int64) error {
	r.buf, r.buf2 = make([]byte, chunk), make([]byte, chunk)
	for left := size; left > 0; {
		code := r.control.byte()
		n := r.control.size(left)
		if r.control.bad || n == 0 {
			return ErrDamaged
		}
		if err := r.do(code, n); err != nil {
			return err
		}
		left -= n
	}
	if len(r.control.data) > 0 {
		return ErrDamaged
	}
	return r.out.flush()
}

func (r *runner) do(code byte, size int64) error {
	switch code {
	case opCopy:
		at, err := r.source(size)
		if err != nil {
			return err
		}
		return r.copyFrom(r.old, at, size)
	case opPatch:
		return r.patch(size)
	case opPatchZ:
		return r.patchZ(size)
	case opNew:
		return r.copyStream(r.extra, size)
	case opZero:
		return r.copyStream(zeros{}, size)
	}
	return ErrDamaged
}

// source reads a place in the old image that has size bytes.
func (r *runner) source(size int64) (int64, error) {
	at := r.lastSource + r.control.signed(maxImage)
	if r.control.bad || at < 0 || size > r.oldSize || at > r.oldSize-size {
		return 0, ErrDamaged
	}
	r.lastSource = at + size
	return at, nil
}

func (r *runner) copyFrom(src io.ReaderAt, at, size int64) error {
	for size > 0 {
		part := r.buf[:min(size, chunk)]
		if err := readAt(src, part, at); err != nil {
			return err
		}
		if err := r.out.write(part); err != nil {
			return err
		}
		at, size = at+int64(len(part)), size-int64(len(part))
	}
	return nil
}

func (r *runner) copyStream(src io.Reader, size int64) error {
	for size > 0 {
		part := r.buf[:min(size, chunk)]
		if _, err := io.ReadFull(src, part); err != nil {
			return streamError(err)
		}
		if err := r.out.write(part); err != nil {
			return err
		}
		size -= int64(len(part))
	}
	return nil
}

// patch does a list of triples that make size bytes.
func (r *runner) patch(size int64) error {
	at := r.lastSource + r.control.signed(maxImage)
	count := r.control.size(size + 1)
	added := int64(0)
	for start := at; count > 0; count-- {
		add, extra := r.control.size(size), r.control.size(size)
		seek := r.control.signed(maxImage)
		if r.control.bad || add+extra > size || add > 0 && (start < 0 || start > r.oldSize-add) {
			return ErrDamaged
		}
		if err := r.addDifference(start, add); err != nil {
			return err
		}
		if err := r.copyStream(r.extra, extra); err != nil {
			return err
		}
		size, added, start = size-add-extra, added+add, start+add+seek
	}
	if size != 0 {
		return ErrDamaged
	}
	r.lastSource = at + added
	return nil
}

func (r *runner) addDifference(at, size int64) error {
	for size > 0 {
		n := min(size, chunk)
		sum, diff := r.buf[:n], r.buf2[:n]
		if err := readAt(r.old, sum, at); err != nil {
			return err
		}
		if _, err := io.ReadFull(r.diff, diff); err != nil {
			return streamError(err)
		}
		for i, d := range diff {
			sum[i] += d
		}
		if err := r.out.write(sum); err != nil {
			return err
		}
		at, size = at+n, size-n
	}
	return nil
}

// patchZ unpacks a frame with a range of the old image as dictionary.
func (r *runner) patchZ(size int64) error {
	at := r.lastSource + r.control.signed(maxImage)
	sourceSize, frame := r.control.size(maxDict), r.control.size(MaxSegment)
	if r.control.bad || at < 0 || sourceSize > r.oldSize || at > r.oldSize-sourceSize {
		return ErrDamaged
	}
	r.lastSource = at + sourceSize
	dict := make([]byte, sourceSize)
	if err := readAt(r.old, dict, at); err != nil {
		return err
	}
	part := io.LimitReader(r.extra, frame)
	d, err := unpacker(part, dict)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := r.copyStream(d, size); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, part) // what the decoder did not ask for
	return err
}

func streamError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("a stream ends early: %w", ErrDamaged)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

func readAt(src io.ReaderAt, p []byte, at int64) error {
	n, err := src.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading %d bytes at %d: %w", len(p), at, err)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
