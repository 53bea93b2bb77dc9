package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"wellcar.dev/internal/provision"
)

const (
	userAgent    = "Ignition/2.26.0"
	accept       = "application/vnd.coreos.ignition+json;version=3.6.0, */*;q=0.1"
	dialTimeout  = 10 * time.Second // a try keeps to the way that there was when it began
	tlsTimeout   = 10 * time.Second
	redirectsMax = 10
)

// StatusError is an answer that is not the content.
type StatusError struct {
	Code   int
	Status string // 403 Forbidden
	Detail string // what the server says to it, if it does
}

// Error is the status in words.
func (e *StatusError) Error() string {
	text := "the server answers " + e.Status
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Is makes 404 provision.ErrNotFound.
func (e *StatusError) Is(target error) bool {
	return target == provision.ErrNotFound && e.Code == http.StatusNotFound
}

// Call is an HTTP request.
type Call struct {
	Method  string // empty: GET
	URL     string
	Headers []provision.Header // in place of those that are always sent, or besides
	Retry   []int              // codes below 500 after which the server is asked again

	sign   func(*http.Request) error // the last thing before each try
	detail func(io.Reader) string    // finds what a refusal says
}

// Do takes a request as the package does for a resource, with all retries,
// and writes the body of a good answer to w.
func (c *Client) Do(ctx context.Context, call Call, w io.Writer) error {
	if c.opt.Offline {
		return provision.ErrNeedsNetwork
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	return c.do(ctx, call, provision.Request{URL: call.URL}, w)
}

func (c *Client) web(ctx context.Context, u *url.URL, r provision.Request, w io.Writer) error {
	if c.opt.Platform == "azure" && isBlob(u) {
		if done, err := c.blob(ctx, r, w); done {
			return err
		}
	}
	return c.do(ctx, Call{URL: r.URL, Headers: r.Headers}, r, w)
}

// do sends a call until there is an answer, and gives its body to w as the
// request wants it.
func (c *Client) do(ctx context.Context, call Call, r provision.Request, w io.Writer) error {
	body, err := c.open(ctx, call)
	if err != nil {
		return err
	}
	whole := &resuming{ctx: ctx, client: c, call: call, body: body}
	defer whole.Close()
	return provision.Receive(r, whole, w)
}

// open sends a call until there is a good answer.
func (c *Client) open(ctx context.Context, call Call) (io.ReadCloser, error) {
	wait := backoff{}
	for {
		body, err := c.try(ctx, call)
		if err == nil || !again(err, call.Retry) {
			return body, err
		}
		c.logf("%s does not answer yet: %v", provision.Request{URL: call.URL}.Address(), bare(err))
		if stopped := wait.sleep(ctx); stopped != nil {
			return nil, fmt.Errorf("%w, at last because: %w", stopped, bare(err))
		}
	}
}

// again tells whether a server may do better later.
func again(err error, more []int) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code >= 500 || slices.Contains(more, status.Code)
	}
	return !errors.Is(err, errFinal)
}

// errFinal marks what no retry can help.
var errFinal = errors.New("")

type finalError struct{ error }

func (finalError) Is(target error) bool { return target == errFinal }
func (e finalError) Unwrap() error      { return e.error }

// try sends a call once.
func (c *Client) try(ctx context.Context, call Call) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, call.Method, call.URL, nil)
	if err != nil {
		return nil, finalError{err}
	}
	setHeaders(req, call.Headers)
	if call.sign != nil {
		if err := call.sign(req); err != nil {
			return nil, finalError{err}
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, timeout(ctx, err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNoContent {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	status := &StatusError{Code: resp.StatusCode, Status: resp.Status}
	if call.detail != nil {
		status.Detail = call.detail(io.LimitReader(resp.Body, 64<<10))
	}
	return nil, status
}

// timeout puts the reason for the end of a context in place of its error.
func timeout(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return finalError{context.Cause(ctx)}
	}
	return err
}

func setHeaders(req *http.Request, headers []provision.Header) {
	defaults(req.Header)
	given := map[string]bool{}
	for _, h := range headers {
		key := http.CanonicalHeaderKey(h.Name)
		if !given[key] {
			req.Header.Del(key)
			given[key] = true
		}
		req.Header.Add(key, h.Value)
		if key == "Host" {
			req.Host = h.Value
		}
	}
}

func defaults(h http.Header) {
	h.Set("User-Agent", userAgent)
	h.Set("Accept", accept)
	h.Set("Accept-Encoding", "identity")
}

// transport is made at the first request: to read the certificates of all
// authorities takes longer than to write the files of a config.
type transport struct {
	mu    sync.Mutex
	build func() *http.Transport
	built *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	if t.built == nil {
		t.built = t.build()
	}
	t.mu.Unlock()
	return t.built.RoundTrip(r)
}

// CloseIdleConnections is what http.Client asks for by its name.
func (t *transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.built != nil {
		t.built.CloseIdleConnections()
	}
}

// newHTTP makes the part that speaks HTTP.
func (c *Client) newHTTP() *http.Client {
	return &http.Client{Transport: &transport{build: c.newTransport}, CheckRedirect: redirect}
}

func (c *Client) newTransport() *http.Transport {
	dial := c.opt.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return &http.Transport{
		DialContext: dial, TLSHandshakeTimeout: tlsTimeout, ResponseHeaderTimeout: c.headers,
		TLSClientConfig: &tls.Config{RootCAs: c.authorities(), MinVersion: tls.VersionTLS12},
		Proxy:           c.proxy.function(), DisableCompression: true, IdleConnTimeout: 30 * time.Second,
	}
}

// redirect follows with the headers that are always sent, and no other.
func redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= redirectsMax {
		return finalError{fmt.Errorf("the server redirects more than %d times", redirectsMax)}
	}
	if s := req.URL.Scheme; s != "http" && s != "https" {
		return finalError{fmt.Errorf("the server redirects to %s, which is not HTTP", req.URL.Redacted())}
	}
	req.Header = http.Header{}
	defaults(req.Header)
	return nil
}
