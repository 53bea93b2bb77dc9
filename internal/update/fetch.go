//go:build linux

package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"wellcar.dev/internal/format/omaha"
)

// Remote reads files of a release folder by HTTP, from any place in them on.
type Remote struct {
	Client         *http.Client
	User, Password string        // sent over HTTPS only
	Retries        int           // of one read
	Pause          time.Duration // between them
	Rate           int64         // bytes a second; 0: any
	Stall          time.Duration // how long no byte may come
	Logf           func(format string, args ...any)
}

// NewRemote has the patience of Flatcar's client. It tells logf of settings
// that cannot be read.
func NewRemote(client *http.Client, s Settings, logf func(format string, args ...any)) *Remote {
	rate, err := s.Rate()
	if err != nil {
		logf("%v", err)
	}
	return &Remote{Client: client, User: s.Get("DOWNLOAD_USER"), Password: s.Get("DOWNLOAD_PASSWORD"), Retries: 20, Pause: pause, Rate: rate, Stall: stall, Logf: logf}
}

// open asks for a file from an offset on, up to an end or, if that is 0, all
// of it. A server may send more.
func (r *Remote) open(ctx context.Context, url string, offset, end int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	slowHead := time.AfterFunc(r.Stall, func() { cancel(errStalled) })
	defer slowHead.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		cancel(nil)
		return nil, fail(omaha.CodeDownload, "fetching %s: %w", url, err)
	}
	if offset > 0 {
		req.Header.Set("Range", span(offset, end))
	}
	if r.User != "" && strings.HasPrefix(url, "https://") {
		req.SetBasicAuth(r.User, r.Password)
	}
	resp, err := r.Client.Do(req)
	if err != nil {
		defer cancel(nil)
		return nil, fail(omaha.CodeDownload, "fetching %s: %w", url, reason(ctx, err))
	}
	resp.Body = watch(resp.Body, r.Stall, cancel)
	switch {
	case offset == 0 && resp.StatusCode == http.StatusOK, offset > 0 && resp.StatusCode == http.StatusPartialContent:
		return slow(resp.Body, r.Rate), nil
	case offset > 0 && resp.StatusCode == http.StatusOK: // a server without ranges
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
			resp.Body.Close()
			return nil, fail(omaha.CodeDownload, "fetching %s from byte %d on: %w", url, offset, err)
		}
		return slow(resp.Body, r.Rate), nil
	}
	resp.Body.Close()
	return nil, fail(omaha.CodeHTTPBase+omaha.Code(resp.StatusCode), "fetching %s: HTTP status %s", url, resp.Status)
}

// span is a range as HTTP writes it.
func span(offset, end int64) string {
	if end > offset {
		return fmt.Sprintf("bytes=%d-%d", offset, end-1)
	}
	return fmt.Sprintf("bytes=%d-", offset)
}

// small fetches a whole file that is not larger than a limit.
func (r *Remote) small(ctx context.Context, url string, limit int64) (data []byte, err error) {
	err = r.patiently(ctx, func() error {
		body, err := r.open(ctx, url, 0, 0)
		if err != nil {
			return err
		}
		defer body.Close()
		if data, err = readAll(body, limit); err != nil {
			return fail(omaha.CodeDownload, "fetching %s: %w", url, err)
		}
		return nil
	})
	return data, err
}

// patiently tries again what may work later: not what a server answered
// clearly, and not what it sent too much of.
func (r *Remote) patiently(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || n >= r.Retries || !passing(err) || ctx.Err() != nil {
			return err
		}
		if r.Logf != nil {
			r.Logf("%v; trying again", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(r.Pause):
		}
	}
}

// passing says that an error may not come again.
func passing(err error) bool {
	if err == nil || errors.Is(err, errTooMuch) || errors.Is(err, context.Canceled) {
		return false
	}
	code := codeOf(err)
	return code == 0 || code == omaha.CodeDownload || code >= omaha.CodeHTTPBase+500
}

// stream reads a remote file in order, with one request as long as the next
// piece follows the last, and again from where it was cut.
type stream struct {
	remote *Remote
	url    string
	base   int64 // of the payload within the file
	body   io.ReadCloser
	at     int64
	end    int64 // of what to ask for at once; 0: all
	asked  int64 // the end of body

	done, total int64
	report      func(done, total int64)
}

// until says where the pieces that follow each other end, so that the
// connection serves for the next ones too.
func (s *stream) until(end int64) { s.end = s.base + end }

// moved sets what is reported after each piece from here on.
func (s *stream) moved(done, total int64, report func(done, total int64)) {
	s.done, s.total, s.report = done, total, report
}

func (s *stream) close() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// read fills p from an offset of the payload on.
func (s *stream) read(ctx context.Context, p []byte, offset int64) error {
	for done := 0; ; {
		before := done
		err := s.remote.patiently(ctx, func() error {
			n, err := s.once(ctx, p[done:], offset+int64(done))
			if done += n; n > 0 && passing(err) && ctx.Err() == nil {
				return nil // what came counts: patience begins anew
			}
			return err
		})
		if err != nil || done == len(p) || done == before {
			return err
		}
	}
}

func (s *stream) once(ctx context.Context, p []byte, offset int64) (n int, err error) {
	if s.body == nil || s.at != offset || s.base+offset == s.asked {
		s.close()
		s.asked = s.end
		if s.body, err = s.remote.open(ctx, s.url, s.base+offset, s.end); err != nil {
			return 0, err
		}
		s.at = offset
	}
	for n < len(p) {
		k, err := s.body.Read(p[n:])
		n, s.at = n+k, s.at+int64(k)
		if s.done += int64(k); s.report != nil {
			s.report(s.done, s.total)
		}
		if err != nil && n < len(p) {
			s.close()
			return n, fail(omaha.CodeDownload, "fetching %s at byte %d: %w", s.url, s.at, err)
		}
	}
	return n, nil
}

// watched is a body whose request is cancelled when no byte comes for too long.
type watched struct {
	io.ReadCloser
	limit   time.Duration
	timer   *time.Timer
	cancel  context.CancelCauseFunc
	stalled atomic.Bool
}

func watch(body io.ReadCloser, limit time.Duration, cancel context.CancelCauseFunc) io.ReadCloser {
	w := &watched{ReadCloser: body, limit: limit, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() {
		w.stalled.Store(true)
		cancel(errStalled)
	})
	w.timer.Stop()
	return w
}

// Close also lets go of the request.
func (w *watched) Close() error {
	defer w.cancel(nil)
	return w.ReadCloser.Close()
}

// Read is on the clock; the time between two reads is not.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.limit)
	defer w.timer.Stop()
	n, err := w.ReadCloser.Read(p)
	if err != nil && w.stalled.Load() {
		err = errStalled
	}
	return n, err
}

// readFull fills p; a source that ends early is no error.
func readFull(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

// limited is a body that is read no faster than a rate.
type limited struct {
	io.ReadCloser
	rate  int64
	start time.Time
	read  int64
}

func slow(body io.ReadCloser, rate int64) io.ReadCloser {
	if rate <= 0 {
		return body
	}
	return &limited{ReadCloser: body, rate: rate, start: time.Now()}
}

// Read reads a tenth of a second's worth at most, and waits for its time.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), max(l.rate/10, 1))])
	l.read += int64(n)
	due := l.start.Add(time.Duration(float64(l.read) / float64(l.rate) * float64(time.Second)))
	time.Sleep(time.Until(due))
	return n, err
}
