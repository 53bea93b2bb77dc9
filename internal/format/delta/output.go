package delta

import "io"

// ReadWriterAt is a slot that is being written.
type ReadWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

// sink is where a segment's bytes go.
type sink interface {
	writeAt(p []byte, at int64) error
}

// slotSink writes to a slot.
type slotSink struct{ slot ReadWriterAt }

func (s slotSink) writeAt(p []byte, at int64) error {
	_, err := s.slot.WriteAt(p, at)
	return err
}

// streamSink writes in order, whatever the place.
type streamSink struct{ w io.Writer }

func (s streamSink) writeAt(p []byte, _ int64) error {
	_, err := s.w.Write(p)
	return err
}

// output joins small writes into large ones.
type output struct {
	w   sink
	at  int64 // of the next byte
	buf []byte
}

const outputBuffer = 1 << 20

func (o *output) write(p []byte) error {
	if o.buf == nil {
		o.buf = make([]byte, 0, outputBuffer)
	}
	for len(p) > 0 {
		n := min(len(p), outputBuffer-len(o.buf))
		o.buf = append(o.buf, p[:n]...)
		p, o.at = p[n:], o.at+int64(n)
		if len(o.buf) == outputBuffer {
			if err := o.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flushed is the place up to which all is written.
func (o *output) flushed() int64 { return o.at - int64(len(o.buf)) }

func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	err := o.w.writeAt(o.buf, o.flushed())
	o.buf = o.buf[:0]
	return err
}
