package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vincent-petithory/dataurl"

	"wellcar.dev/internal/provision"
)

// Options describe the machine that fetches.
type Options struct {
	Platform string        // its id; those with credentials of their own use them
	OEM      fs.FS         // the OEM partition, for oem:///; nil: there is none
	Offline  bool          // there is no network
	Total    time.Duration // for one resource, unless the config says otherwise; 0: for ever
	// Roots are the certificate authorities of the system. Nil: those of the
	// machine that runs this.
	Roots func() (*x509.CertPool, error)
	// Dial opens connections. Nil: as usual, within 10 s.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logf hears why something takes longer. Nil: nobody does.
	Logf func(format string, args ...any)
}

// Client fetches. It implements provision.Fetcher and provision.Configurable
// and may be used by several goroutines.
type Client struct {
	opt     Options
	total   time.Duration
	headers time.Duration // how long an answer may take to begin
	proxy   proxySettings
	extra   []*x509.Certificate
	http    *http.Client
	near    *http.Client // for the machine's own metadata service, which is behind no proxy
}

// New makes a client.
func New(opt Options) *Client {
	c := &Client{opt: opt, total: opt.Total, headers: 10 * time.Second}
	c.http = c.newHTTP()
	c.near = c.http
	return c
}

// Configure implements provision.Configurable.
func (c *Client) Configure(s provision.FetchSettings) (provision.Fetcher, error) {
	out := *c
	if s.ResponseHeadersSeconds != nil {
		out.headers = time.Duration(*s.ResponseHeadersSeconds) * time.Second
	}
	if s.TotalSeconds != nil {
		out.total = time.Duration(*s.TotalSeconds) * time.Second
	}
	out.proxy = out.proxy.with(s)
	if err := out.addAuthorities(s.Authorities); err != nil {
		return nil, err
	}
	out.http = out.newHTTP()
	return &out, nil
}

// Close ends the connections that are kept open.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.near.CloseIdleConnections()
}

// Fetch implements provision.Fetcher.
func (c *Client) Fetch(ctx context.Context, r provision.Request, w io.Writer) error {
	u, err := url.Parse(r.URL)
	if strings.HasPrefix(r.URL, "data:") {
		u, err = &url.URL{Scheme: "data"}, nil
	}
	if err != nil {
		return fmt.Errorf("fetching %s: %w", r.URL, bare(err))
	}
	if err := c.fetch(ctx, u, r, w); err != nil {
		return fmt.Errorf("fetching %s: %w", name(r), bare(err))
	}
	return nil
}

// name is a URL for people; one that has all of the data is cut.
func name(r provision.Request) string {
	if strings.HasPrefix(r.URL, "data:") && len(r.URL) > 40 {
		return r.URL[:40] + "..."
	}
	return r.Address()
}

func (c *Client) fetch(ctx context.Context, u *url.URL, r provision.Request, w io.Writer) error {
	switch u.Scheme {
	case "":
		return provision.Receive(r, strings.NewReader(""), w)
	case "data":
		d, err := dataurl.DecodeString(r.URL)
		if err != nil {
			return err
		}
		return provision.Receive(r, strings.NewReader(string(d.Data)), w)
	case "oem":
		return c.oem(u, r, w)
	}
	if c.opt.Offline {
		return provision.ErrNeedsNetwork
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	switch u.Scheme {
	case "http", "https":
		return c.web(ctx, u, r, w)
	case "tftp":
		return c.tftp(ctx, u, r, w)
	case "s3", "arn":
		return c.s3(ctx, r, w)
	case "gs":
		return c.gcs(ctx, u, r, w)
	}
	return fmt.Errorf("the scheme %s is not known", u.Scheme)
}

// limit ends a context after the total timeout.
func (c *Client) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.total == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, c.total, fmt.Errorf("gave up after %s", c.total))
}

func (c *Client) oem(u *url.URL, r provision.Request, w io.Writer) error {
	switch {
	case u.Host != "" || !strings.HasPrefix(u.Path, "/"):
		return errors.New("the path is not absolute: write oem:///PATH")
	case c.opt.OEM == nil:
		return provision.ErrNoOEM
	}
	f, err := c.opt.OEM.Open(strings.TrimPrefix(u.Path, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w on the OEM partition", provision.ErrNotFound)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return provision.Receive(r, f, w)
}

func (c *Client) logf(format string, args ...any) {
	if c.opt.Logf != nil {
		c.opt.Logf(format, args...)
	}
}

// bare is an error without the URL that the packages of Go put around it.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
