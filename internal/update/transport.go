//go:build linux

package update

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// The patience of connections (updates.md 2.6).
const (
	connectTime  = 30 * time.Second
	headTime     = 90 * time.Second // until an answer begins
	askTime      = 3 * time.Minute  // for a question to the server, as a whole
	stall        = 90 * time.Second // without a byte of a download
	pause        = 20 * time.Second // between two attempts at one
	maxRedirects = 10
)

// NewClient speaks HTTP as machines need it: through the proxies that the
// environment names, ALL_PROXY included, and never waiting for ever.
func NewClient() *http.Client {
	return &http.Client{CheckRedirect: checkRedirect, Transport: &http.Transport{
		Proxy:                 proxies(),
		DialContext:           (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout:   connectTime,
		ResponseHeaderTimeout: headTime,
		IdleConnTimeout:       headTime,
		ForceAttemptHTTP2:     true,
	}}
}

// proxies reads the environment once.
func proxies() func(*http.Request) (*url.URL, error) {
	c := httpproxy.FromEnvironment()
	all := cmp.Or(os.Getenv("ALL_PROXY"), os.Getenv("all_proxy"))
	c.HTTPProxy, c.HTTPSProxy = cmp.Or(c.HTTPProxy, all), cmp.Or(c.HTTPSProxy, all)
	choose := c.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}

// checkRedirect lets a server send the client elsewhere, but not from HTTPS to
// HTTP or back.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if from := via[len(via)-1].URL.Scheme; from != r.URL.Scheme {
		return fmt.Errorf("a redirect from %s to %s, which is not followed", from, r.URL.Scheme)
	}
	return nil
}

var errStalled = errors.New("no byte came for too long")
