package squeeze

import "io"

// text is the stretch of the image that is looked at. A stretch is not
// changed when the next one is read, so that others may go on with it.
type text struct {
	r     io.ReaderAt
	size  int64
	start int64 // of data in the image
	data  []byte
}

const (
	stretch = 16 << 20 // bytes
	ahead   = 1 << 20
)

// move makes sure that a window before a segment is there, and some bytes
// behind it.
func (t *text) move(at, end int64) error {
	if t.data != nil && min(end+longest, t.size) <= t.start+int64(len(t.data)) {
		return nil
	}
	start := max(0, at-window)
	next := make([]byte, min(at+stretch+ahead, t.size)-start)
	known := 0
	if t.data != nil {
		known = copy(next, t.data[start-t.start:])
	}
	if err := readFull(t.r, next[known:], start+int64(known)); err != nil {
		return err
	}
	t.start, t.data = start, next
	return nil
}
