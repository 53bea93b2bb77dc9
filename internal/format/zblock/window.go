package zblock

import (
	"fmt"
	"io"
)

// Near is how much of what was made a Window holds, bytes. What is further
// back is read again.
const Near = 16 << 20

const slack = 8 << 20 // more than Near that a Window holds before it moves on

// Window makes content from blocks. It is for one goroutine.
type Window struct {
	behind io.ReaderAt // what was made before
	start  int64       // the place of the first byte of buf
	size   int         // bytes of buf that are made
	buf    []byte
	d      Decoder
}

// NewWindow makes a window at the start of content that is read back from
// behind. What a method returns must be there when the next one is called.
func NewWindow(behind io.ReaderAt) *Window {
	return &Window{behind: behind, buf: make([]byte, Near+slack)}
}

// Move goes to a place; all in front of it must be readable.
func (w *Window) Move(at int64) error {
	if at == w.start+int64(w.size) {
		return nil
	}
	n := min(at, Near)
	w.start, w.size = at, 0
	if err := w.read(w.buf[:n], at-n); err != nil {
		return err
	}
	w.start, w.size = at-n, int(n)
	return nil
}

// Block makes the next size bytes from the body of a block.
func (w *Window) Block(body []byte, size int) ([]byte, error) {
	if size > MaxSize {
		return nil, ErrDamaged
	}
	w.room(size)
	end := w.size + size
	if err := w.d.Decode(w.buf, w.size, end, body, w.far); err != nil {
		return nil, err
	}
	made := w.buf[w.size:end:end]
	w.size = end
	return made, nil
}

// Add takes bytes that come from elsewhere.
func (w *Window) Add(p []byte) {
	for len(p) > 0 {
		n := min(len(p), MaxSize)
		w.room(n)
		w.size += copy(w.buf[w.size:], p[:n])
		p = p[n:]
	}
}

// room forgets the oldest bytes if the next ones have no place.
func (w *Window) room(n int) {
	if w.size+n <= len(w.buf) {
		return
	}
	old := w.size - Near
	copy(w.buf, w.buf[old:w.size])
	w.start, w.size = w.start+int64(old), Near
}

func (w *Window) far(p []byte, back int) error {
	if int64(back) > w.start {
		return ErrDamaged
	}
	return w.read(p, w.start-int64(back))
}

func (w *Window) read(p []byte, at int64) error {
	if n, err := w.behind.ReadAt(p, at); n < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %d bytes at %d: %w", len(p), at, err)
	}
	return nil
}
