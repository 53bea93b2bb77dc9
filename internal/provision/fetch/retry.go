package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

const (
	firstPause = 200 * time.Millisecond
	longPause  = 5 * time.Second
	// How often a body may break off at one place.
	breaksMax = 4
)

// backoff waits longer each time.
type backoff struct{ next time.Duration }

// sleep waits, or returns why there is no time left to.
func (b *backoff) sleep(ctx context.Context) error {
	pause := max(firstPause, b.next)
	b.next = min(2*pause, longPause)
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// resuming is a body that is asked for again when it breaks off. What was
// read already must come again the same.
type resuming struct {
	ctx    context.Context
	client *Client
	call   Call
	body   io.ReadCloser
	sum    hash.Hash // of what was read; nil: nothing
	read   int64
	wait   backoff
	breaks int // since something was read
}

func (r *resuming) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		if n > 0 {
			r.note(p[:n])
			return n, nil
		}
		if err == nil || err == io.EOF {
			return 0, err
		}
		if err := r.again(timeout(r.ctx, err)); err != nil {
			return 0, err
		}
	}
}

func (r *resuming) note(p []byte) {
	if r.sum == nil {
		r.sum = sha256.New()
	}
	r.sum.Write(p)
	r.read += int64(len(p))
	r.breaks, r.wait = 0, backoff{}
}

// again opens the body anew after it broke off, and skips what was read.
func (r *resuming) again(cause error) error {
	for {
		broke := fmt.Errorf("the connection broke after %d bytes: %w", r.read, cause)
		if r.breaks++; r.breaks > breaksMax || !again(cause, nil) {
			return broke
		}
		r.client.logf("%s: %v", r.call.URL, broke)
		if err := r.wait.sleep(r.ctx); err != nil {
			return fmt.Errorf("%w, at last because: %w", err, broke)
		}
		r.body.Close()
		body, err := r.client.open(r.ctx, r.call)
		if err != nil {
			return err
		}
		r.body = body
		if cause = r.skip(); cause == nil {
			return nil
		}
	}
}

// errChanged is final: the half that was written cannot be taken back.
var errChanged = finalError{errors.New("the server gave other content the second time")}

// skip reads the beginning again.
func (r *resuming) skip() error {
	if r.read == 0 {
		return nil
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, r.body, r.read); err != nil {
		if err == io.EOF {
			return errChanged
		}
		return timeout(r.ctx, err)
	}
	if !bytes.Equal(sum.Sum(nil), r.sum.Sum(nil)) {
		return errChanged
	}
	return nil
}

// Close ends the body.
func (r *resuming) Close() error { return r.body.Close() }
