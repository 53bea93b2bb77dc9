package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// userAgent is what the program calls itself to servers.
const userAgent = "wellcar"

// ErrNotFound means that the archive answered that it has no such file.
var ErrNotFound = errors.New("the archive does not have it")

// Client reaches one mirror. Its zero values are usable apart from Mirror; it
// may be copied and used by many goroutines.
type Client struct {
	Mirror   Mirror
	Keys     []byte           // binary OpenPGP certificates that may sign indexes; nil means Debian's own
	Now      func() time.Time // nil means time.Now
	HTTP     *http.Client     // nil means one that honours the standard proxy variables
	Stall    time.Duration    // longest wait for the next byte; 0 means 30 s
	Attempts int              // failed tries in a row before giving up; 0 means 5
	Backoff  time.Duration    // wait after the first failure, doubled up to 16 times; 0 means 500 ms
	Parallel int              // downloads at a time; 0 means 8

	wrap func(io.Writer) io.Writer // replaces the writer of a file in tests
}

var defaultHTTP = &http.Client{Transport: &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
	ForceAttemptHTTP2:     true,
	DisableCompression:    true, // sizes and hashes are of the bytes as stored
	MaxIdleConnsPerHost:   16,
	IdleConnTimeout:       time.Minute,
	TLSHandshakeTimeout:   30 * time.Second,
	ExpectContinueTimeout: time.Second,
}}

func (c Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c Client) parallel() int { return orElse(c.Parallel, 8) }

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// permanent marks an error that another try would not cure.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// retry calls try until it succeeds, fails for good, or fails Attempts times
// in a row without moving on.
func (c Client) retry(ctx context.Context, try func(context.Context) (moved bool, err error)) error {
	wait := orElse(c.Backoff, 500*time.Millisecond)
	longest, left := 16*wait, orElse(c.Attempts, 5)
	for {
		moved, err := c.watched(ctx, try)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if moved {
			left = orElse(c.Attempts, 5)
		}
		var final permanent
		if left--; left <= 0 || errors.As(err, &final) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		wait = min(2*wait, longest)
	}
}

// watched runs one try under a timer that ends it when no byte comes.
func (c Client) watched(ctx context.Context, try func(context.Context) (bool, error)) (bool, error) {
	stall := orElse(c.Stall, 30*time.Second)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := fmt.Errorf("the server sent nothing for %v", stall)
	timer := time.AfterFunc(stall, func() { cancel(stalled) })
	defer timer.Stop()
	moved, err := try(context.WithValue(ctx, aliveKey{}, func() { timer.Reset(stall) }))
	if err != nil && errors.Is(context.Cause(ctx), stalled) {
		err = stalled
	}
	return moved, err
}

// aliveKey is the context key of the function that restarts the stall timer.
type aliveKey struct{}

// answer is the content of one address, from offset on.
type answer struct {
	io.ReadCloser
	alive  func()
	offset int64 // where it begins: the offset asked for, or 0
	total  int64 // size of the whole file; -1 if the server does not say
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if n > 0 {
		a.alive()
	}
	return n, err
}

// open asks for an address from offset on.
func (c Client) open(ctx context.Context, address string, offset int64) (*answer, error) {
	alive, ok := ctx.Value(aliveKey{}).(func())
	if !ok {
		alive = func() {}
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, permanent{err}
	}
	if u.Scheme == "file" {
		return openFile(u.Path, offset, alive)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, permanent{err}
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := orElse(c.HTTP, defaultHTTP).Do(req)
	if err != nil {
		return nil, err
	}
	alive()
	a := &answer{ReadCloser: resp.Body, alive: alive}
	if err := a.judge(resp, offset); err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	return a, nil
}

// judge reads the status and the sizes of a response.
func (a *answer) judge(resp *http.Response, offset int64) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		a.total = resp.ContentLength
		return nil
	case code == http.StatusPartialContent && offset > 0:
		var last int64
		var total string
		span := strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes ")
		if n, err := fmt.Sscanf(span, "%d-%d/%s", &a.offset, &last, &total); n != 3 || a.offset != offset {
			return fmt.Errorf("the server answered a request for the bytes from %d with the range %q: %w", offset, span, errors.Join(errBadRange, err))
		}
		a.total = -1
		if n, err := strconv.ParseInt(total, 10, 64); err == nil {
			a.total = n
		}
		return nil
	case code == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		return fmt.Errorf("the server answered %s: %w", resp.Status, errBadRange)
	case code == http.StatusNotFound || code == http.StatusGone:
		return permanent{fmt.Errorf("the server answered %s: %w", resp.Status, ErrNotFound)}
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return fmt.Errorf("the server answered %s", resp.Status)
	default:
		return permanent{fmt.Errorf("the server answered %s", resp.Status)}
	}
}

// errBadRange means that the server cannot continue a download.
var errBadRange = errors.New("the download cannot be continued")

func openFile(name string, offset int64, alive func()) (*answer, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, permanent{fmt.Errorf("%w: %w", err, ErrNotFound)}
	}
	if err != nil {
		return nil, permanent{err}
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Seek(min(offset, info.Size()), io.SeekStart)
	}
	if err != nil {
		return nil, permanent{errors.Join(err, f.Close())}
	}
	return &answer{ReadCloser: f, alive: alive, offset: min(offset, info.Size()), total: info.Size()}, nil
}

// get reads a small file of unknown size whole, at most limit bytes.
func (c Client) get(ctx context.Context, address string, limit int64) ([]byte, error) {
	var data []byte
	err := c.retry(ctx, func(ctx context.Context) (bool, error) {
		a, err := c.open(ctx, address, 0)
		if err != nil {
			return false, err
		}
		defer a.Close()
		data, err = io.ReadAll(io.LimitReader(a, limit+1))
		if err == nil && int64(len(data)) > limit {
			return false, permanent{fmt.Errorf("it is longer than %d bytes", limit)}
		}
		return false, err
	})
	return data, err
}

// shown is an address as messages show it: without a password.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be read)"
	}
	return u.Redacted()
}
